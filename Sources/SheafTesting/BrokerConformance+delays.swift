import SheafBroker
import SheafCore

extension BrokerConformance {
    static let delaying: [BrokerConformanceCase] = [
        BrokerConformanceCase("A delayed message arrives on another connection, but not before its delay.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let queue = try await scene.queue(on: broker, as: .work(deliveryLimit: 3, acceptsDelayed: true))
            let consumer = try await other.consume(queue, prefetch: 5)
            let pending = PendingNext(consumer)
            let message = Message(id: "later", headers: [Message.Header("attempt", .integer(2))], body: [9])
            let start = ContinuousClock.now
            try await broker.publish(message, to: queue, after: .milliseconds(800))
            try expectEqual(try await broker.queueStatus(queue)?.ready, 0, "ready before the delay")
            let deliveries = try require(try await pending.value(within: .seconds(30)), "delivery")
            let waited = ContinuousClock.now - start
            try expect(waited >= .milliseconds(790), "arrived after \(waited), with a delay of 800 ms")
            let delivery = try require(deliveries.first, "delivery")
            try expectSame(withoutDeaths(delivery.message), message)
            try expectEqual(delivery.queue, queue, "queue")
            try expectEqual(delivery.earlierDeliveries, 0, "earlier deliveries")
            try await other.settle(deliveries, as: .acknowledged)
        },
        BrokerConformanceCase("A delayed message arrives even if the connection that published it was closed.") {
            scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let queue = try await scene.queue(on: broker, as: .work(deliveryLimit: 3, acceptsDelayed: true))
            try await broker.publish(numbered(0..<1)[0], to: queue, after: .milliseconds(300))
            await broker.close()
            let delivery = try await other.consume(queue, prefetch: 1).receive(1, within: .seconds(30))
            try expectEqual(ids(delivery), ["0"], "delivery")
        },
        BrokerConformanceCase("Delayed messages do not block others.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker, as: .work(deliveryLimit: 3, acceptsDelayed: true))
            let consumer = try await broker.consume(queue, prefetch: 5)
            try await broker.publish(Message(id: "later"), to: queue, after: .seconds(5))
            try await broker.publish(Message(id: "now"), to: queue)
            let first = try await consumer.receive(1, within: .seconds(30))
            try expectEqual(ids(first), ["now"], "first delivery")
            let second = try await consumer.receive(1, within: .seconds(30))
            try expectEqual(ids(second), ["later"], "second delivery")
        },
        BrokerConformanceCase("A delay of zero publishes immediately.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker, as: .work(deliveryLimit: 3, acceptsDelayed: true))
            try await broker.publish(Message(id: "now"), to: queue, after: .zero)
            let delivery = try await broker.consume(queue, prefetch: 1).receive(1, within: .seconds(15))
            try expectEqual(ids(delivery), ["now"], "delivery")
        },
    ]

    /// Returns the message without the headers that a broker adds to a delayed message.
    private static func withoutDeaths(_ message: Message) -> Message {
        var message = message
        message.headers.removeAll { $0.name.hasPrefix("x-") }
        return message
    }

    static let lifetimes: [BrokerConformanceCase] = [
        BrokerConformanceCase("A rejected token returns after its lifetime in the waiting room, any number of times.") {
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
                try expect(waited >= .milliseconds(195), "returned after \(waited) in round \(round)")
            }
            try await broker.settle(token, as: .acknowledged)
        },
        BrokerConformanceCase("A message published to a waiting room arrives in the next queue after the lifetime.") {
            scene in
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
        BrokerConformanceCase("Tokens are neither lost nor duplicated if their holders disconnect.") { scene in
            let broker = try await scene.broker()
            let (tokens, room) = try await cycle(of: .milliseconds(100), on: scene, broker)
            try await broker.publish(numbered(0..<6), to: room)
            for round in 0..<4 {
                let holder = try await scene.broker()
                let held = try await holder.consume(tokens, prefetch: 3).receive(3)
                // One is spent, two return with the connection.
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

    /// Declares a queue of tokens and the waiting room for rejected ones.
    private static func cycle(
        of lifetime: Duration,
        on scene: BrokerConformanceScene,
        _ broker: any Broker
    ) async throws -> (tokens: String, room: String) {
        let room = scene.name("room")
        let tokens = try await scene.queue("tokens", on: broker, as: .tokens(deadLetter: .queue(room)))
        return (
            tokens,
            try await scene.queue("room", on: broker, as: .waitingRoom(lifetime: lifetime, then: tokens))
        )
    }
}
