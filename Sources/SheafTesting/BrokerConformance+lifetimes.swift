import SheafBroker
import SheafCore

extension BrokerConformance {
    static let lifetimes: [BrokerConformanceCase] = [
        BrokerConformanceCase("A refused token comes back after the lifetime in the waiting room, again and again.") {
            scene in
            let broker = try await scene.broker()
            let (tokens, _) = try await cycle(of: .milliseconds(200), on: scene, broker)
            let consumer = try await broker.consume(tokens, prefetch: 5)
            try await broker.publish(Message(id: "token", body: [7]), to: tokens)
            var token = try require(try await consumer.receive(1).first, "token")
            for round in 1...4 {
                try expectEqual(token.message.id, "token", "identifier")
                try expectEqual(token.message.body, [7], "body")
                let start = ContinuousClock.now
                try await broker.settle(token, as: .rejected)
                token = try require(try await consumer.receive(1).first, "token")
                let waited = ContinuousClock.now - start
                try expect(waited >= .milliseconds(195), "came back after \(waited) in round \(round)")
            }
            try await broker.settle(token, as: .acknowledged)
        },
        BrokerConformanceCase("What is published to a waiting room arrives behind it after the lifetime.") { scene in
            let broker = try await scene.broker()
            let (tokens, room) = try await cycle(of: .milliseconds(300), on: scene, broker)
            let consumer = try await broker.consume(tokens, prefetch: 10)
            let start = ContinuousClock.now
            try await broker.publish(numbered(0..<5), to: room)
            let deliveries = try await consumer.receive(5)
            let waited = ContinuousClock.now - start
            try expect(waited >= .milliseconds(295), "arrived after \(waited)")
            try expectEqual(Set(ids(deliveries)), Set(ids(0..<5)), "deliveries")
        },
        BrokerConformanceCase("Tokens are neither lost nor doubled when their holders go.") { scene in
            let broker = try await scene.broker()
            let (tokens, room) = try await cycle(of: .milliseconds(100), on: scene, broker)
            try await broker.publish(numbered(0..<6), to: room)
            for round in 0..<4 {
                let holder = try await scene.broker()
                let held = try await holder.consume(tokens, prefetch: 3).receive(3)
                // One is spent, two go back with the connection.
                try await holder.settle(held[0], as: .rejected)
                await holder.close()
                let own = try await broker.consume(tokens, prefetch: 10)
                let all = try await own.receive(6)
                try expectEqual(Set(ids(all)), Set(ids(0..<6)), "tokens after round \(round)")
                let rest = try await own.cancel()
                try expect(rest.isEmpty, "more tokens than there are: \(ids(rest))")
                try await broker.settle(all, as: .returned)
            }
        },
    ]

    /// A queue of tokens, and the room in which those wait that were refused.
    private static func cycle(
        of lifetime: Duration,
        on scene: BrokerConformanceScene,
        _ broker: any Broker
    ) async throws -> (tokens: String, room: String) {
        let room = scene.name("room")
        let tokens = try await scene.queue("tokens", on: broker, limit: nil, deadLetter: .queue(room))
        return (
            tokens,
            try await scene.queue("room", on: broker, limit: nil, deadLetter: .queue(tokens), lifetime: lifetime)
        )
    }
}
