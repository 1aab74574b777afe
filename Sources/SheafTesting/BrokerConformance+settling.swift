import SheafBroker
import SheafCore

extension BrokerConformance {
    static let settling: [BrokerConformanceCase] = [
        BrokerConformanceCase("An acknowledged message is gone.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<3), to: queue)
            let deliveries = try await broker.consume(queue, prefetch: 3).receive(3)
            try await broker.settle([deliveries[0], deliveries[2]], as: .acknowledged)
            await broker.close()
            try await eventually("one comes back") { try await other.queueStatus(queue)?.ready == 1 }
            let left = try require(try await other.get(queue), "message")
            try expectEqual(left.message.id, "1", "message")
        },
        BrokerConformanceCase("A returned message comes again at the queue's head, with one more delivery.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<5), to: queue)
            let first = try require(try await broker.get(queue), "message")
            try await broker.settle(first, as: .returned)
            let consumer = try await broker.consume(queue, prefetch: 5)
            let deliveries = try await consumer.receive(5)
            try expectEqual(ids(deliveries), ids(0..<5), "order")
            try expectEqual(deliveries.map(\.earlierDeliveries), [1, 0, 0, 0, 0], "earlier deliveries")
        },
        BrokerConformanceCase("Delivery limit 2 means 3 deliveries, then the dead-letter queue.") { scene in
            let broker = try await scene.broker()
            let dead = try await scene.queue("dead", on: broker)
            let queue = try await scene.queue(on: broker, limit: 2, deadLetter: .queue(dead))
            let message = Message(id: "poison", headers: [Message.Header("kept", .integer(7))], body: [1, 2])
            try await broker.publish([message] + numbered(0..<1), to: queue)
            try await giveBack("poison", times: 3, from: queue, on: broker)
            let next = try require(try await broker.get(queue), "message behind it")
            try expectEqual(next.message.id, "0", "message behind it")
            try await eventually("it is dead") { try await broker.queueStatus(dead)?.ready == 1 }
            let delivery = try require(try await broker.get(dead), "dead message")
            try expectEqual(delivery.message.id, "poison", "dead message")
            try expectEqual(delivery.message.body, [1, 2], "body")
            try expectEqual(delivery.message.integer("kept"), 7, "header")
            try expectEqual(delivery.death, Delivery.Death(reason: "delivery_limit", queue: queue), "death")
        },
        BrokerConformanceCase("A message beyond its limit goes to the dead-letter log with reason and queue.") {
            scene in
            let broker = try await scene.broker()
            let dead = try await scene.log("dead", on: broker)
            let queue = try await scene.queue(on: broker, limit: 1, deadLetter: .log(dead))
            let message = Message(
                id: "poison",
                type: "task",
                headers: [Message.Header("kept", .string("✓"))],
                body: [1]
            )
            try await broker.publish(message, to: queue)
            try await giveBack("poison", times: 2, from: queue, on: broker)
            let entry = try require(try await broker.read(dead, from: .first).read(1).first, "entry")
            try expectEqual(entry.message.id, "poison", "id")
            try expectEqual(entry.message.type, "task", "type")
            try expectEqual(entry.message.body, [1], "body")
            try expectEqual(entry.message.string("kept"), "✓", "header")
            try expectEqual(entry.message.string("x-first-death-reason"), "delivery_limit", "reason")
            try expectEqual(entry.message.string("x-first-death-queue"), queue, "queue")
            try await eventually("nothing waits") { try await broker.queueStatus(queue)?.ready == 0 }
        },
        BrokerConformanceCase("A message beyond its limit is dropped where there are no dead letters.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker, limit: 1)
            try await broker.publish(numbered(0..<1), to: queue)
            try await giveBack("0", times: 2, from: queue, on: broker)
            try await broker.publish(numbered(1..<2), to: queue)
            let next = try require(try await broker.get(queue), "message")
            try expectEqual(next.message.id, "1", "message")
        },
        BrokerConformanceCase("A message that dies twice keeps its first death.") { scene in
            let broker = try await scene.broker()
            let log = try await scene.log("dead", on: broker)
            let suspects = try await scene.queue("suspects", on: broker, limit: 1, deadLetter: .log(log))
            let queue = try await scene.queue(on: broker, limit: 1, deadLetter: .queue(suspects))
            try await broker.publish(numbered(0..<1), to: queue)
            try await giveBack("0", times: 2, from: queue, on: broker)
            try await eventually("it is suspect") { try await broker.queueStatus(suspects)?.ready == 1 }
            try await giveBack("0", times: 2, from: suspects, on: broker)
            let entry = try require(try await broker.read(log, from: .first).read(1).first, "entry")
            try expectEqual(entry.message.string("x-first-death-reason"), "delivery_limit", "reason")
            try expectEqual(entry.message.string("x-first-death-queue"), queue, "queue")
        },
        BrokerConformanceCase("A rejected message goes to the dead letters at once, or is dropped.") { scene in
            let broker = try await scene.broker()
            let dead = try await scene.queue("dead", on: broker)
            let queue = try await scene.queue(on: broker, deadLetter: .queue(dead))
            let plain = try await scene.queue("plain", on: broker)
            try await broker.publish(numbered(0..<1), to: queue)
            try await broker.publish(numbered(1..<2), to: plain)
            let deliveries = [
                try require(try await broker.get(queue), "message"),
                try require(try await broker.get(plain), "message"),
            ]
            try await broker.settle(deliveries, as: .rejected)
            try await eventually("it is dead") { try await broker.queueStatus(dead)?.ready == 1 }
            let delivery = try require(try await broker.get(dead), "dead message")
            try expectEqual(delivery.message.id, "0", "dead message")
            try expectEqual(delivery.death, Delivery.Death(reason: "rejected", queue: queue), "death")
            try expectEqual(try await broker.get(plain), nil, "rejected message")
            try expectEqual(try await broker.get(queue), nil, "rejected message")
        },
        BrokerConformanceCase("Tokens in a queue without limit survive any number of returns and lost holders.") {
            scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue("permits", on: broker, limit: nil)
            try await broker.publish(numbered(0..<3), to: queue)
            for _ in 0..<100 {
                var tokens: [Delivery] = []
                for _ in 0..<3 { tokens.append(try require(try await broker.get(queue), "token")) }
                try expectEqual(try await broker.get(queue), nil, "fourth token")
                try await broker.settle(tokens, as: .returned)
            }
            for _ in 0..<3 {
                let holder = try await scene.broker()
                for _ in 0..<3 { _ = try require(try await holder.get(queue), "token") }
                await holder.close()
                try await eventually("all are back") { try await broker.queueStatus(queue)?.ready == 3 }
            }
        },
        BrokerConformanceCase("PendingSettlement twice is no error and touches no other message.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<2), to: queue)
            let consumer = try await broker.consume(queue, prefetch: 1)
            let first = try await consumer.receive(1)
            try await broker.settle(first, as: .acknowledged)
            let second = try await consumer.receive(1)
            try await broker.settle(first, as: .acknowledged)
            try await broker.settle(second, as: .returned)
            let again = try await consumer.receive(1)
            try expectEqual(ids(again), ["1"], "second message")
        },
    ]

    /// Takes the message by get and returns it so often; checks how often it counts as delivered.
    private static func giveBack(_ id: String, times: Int, from queue: String, on broker: any Broker) async throws {
        for round in 0..<times {
            let delivery = try require(try await broker.get(queue), "message in round \(round)")
            try expectEqual(delivery.message.id, id, "message in round \(round)")
            try expectEqual(delivery.earlierDeliveries, round, "earlier deliveries in round \(round)")
            try await broker.settle(delivery, as: .returned)
        }
    }
}
