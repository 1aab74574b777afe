import SheafBroker
import SheafCore

extension BrokerConformance {
    static let delaying: [BrokerConformanceCase] = [
        BrokerConformanceCase("A delayed message arrives in another connection, but not before its delay.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let queue = try await scene.queue(on: broker, acceptsDelayed: true)
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
        BrokerConformanceCase("A delayed message arrives although the connection that sent it has ended.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let queue = try await scene.queue(on: broker, acceptsDelayed: true)
            try await broker.publish(numbered(0..<1)[0], to: queue, after: .milliseconds(300))
            await broker.close()
            let delivery = try await other.consume(queue, prefetch: 1).receive(1, within: .seconds(30))
            try expectEqual(ids(delivery), ["0"], "delivery")
        },
        BrokerConformanceCase("Delayed messages do not hold up others.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker, acceptsDelayed: true)
            let consumer = try await broker.consume(queue, prefetch: 5)
            try await broker.publish(Message(id: "later"), to: queue, after: .seconds(5))
            try await broker.publish(Message(id: "now"), to: queue)
            let first = try await consumer.receive(1, within: .seconds(30))
            try expectEqual(ids(first), ["now"], "first delivery")
            let second = try await consumer.receive(1, within: .seconds(30))
            try expectEqual(ids(second), ["later"], "second delivery")
        },
        BrokerConformanceCase("A delay of zero publishes at once.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker, acceptsDelayed: true)
            try await broker.publish(Message(id: "now"), to: queue, after: .zero)
            let delivery = try await broker.consume(queue, prefetch: 1).receive(1, within: .seconds(15))
            try expectEqual(ids(delivery), ["now"], "delivery")
        },
    ]

    /// The message without what brokers add when a delay queue hands it on.
    private static func withoutDeaths(_ message: Message) -> Message {
        var message = message
        message.headers.removeAll { $0.name.hasPrefix("x-") }
        return message
    }
}
