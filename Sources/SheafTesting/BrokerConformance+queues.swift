import SheafBroker
import SheafCore

extension BrokerConformance {
    static let publishing: [BrokerConformanceCase] = [
        BrokerConformanceCase("Confirmed messages arrive in the order in which they were published.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            for start in stride(from: 0, to: 50, by: 10) {
                try await broker.publish(numbered(start..<start + 10), to: queue)
            }
            let deliveries = try await broker.consume(queue, prefetch: 100).receive(50)
            try expectEqual(ids(deliveries), ids(0..<50), "order")
            try expect(deliveries.allSatisfy { $0.earlierDeliveries == 0 }, "first deliveries count as earlier ones")
            try expect(deliveries.allSatisfy { $0.queue == queue }, "deliveries name another queue")
            try expect(Set(deliveries.map(\.token)).count == 50, "tokens repeat")
            try await broker.settle(deliveries, as: .acknowledged)
        },
        BrokerConformanceCase("Many concurrent publishes all arrive, each call's messages in order.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for publisher in 0..<100 {
                    group.addTask { try await broker.publish(numbered(publisher * 5..<publisher * 5 + 5), to: queue) }
                }
                try await group.waitForAll()
            }
            let deliveries = try await broker.consume(queue, prefetch: 1_000).receive(500)
            let numbers = deliveries.compactMap { Int($0.message.id) }
            try expectEqual(numbers.sorted(), Array(0..<500), "messages")
            for publisher in 0..<100 {
                let own = numbers.filter { $0 / 5 == publisher }
                try expectEqual(own, own.sorted(), "order of publisher \(publisher)")
            }
            try await broker.settle(deliveries, as: .acknowledged)
        },
        BrokerConformanceCase("5,000 messages in windows of 500 reach a consumer that runs at the same time.") {
            scene in
            let broker = try await scene.broker()
            let other = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            let consumer = try await other.consume(queue, prefetch: 250)
            async let publishing: Void = {
                for start in stride(from: 0, to: 5_000, by: 500) {
                    try await broker.publish(numbered(start..<start + 500), to: queue)
                }
            }()
            var received: [String] = []
            while received.count < 5_000 {
                let deliveries = try require(try await consumer.next(), "delivery")
                received += ids(deliveries)
                try await other.settle(deliveries, as: .acknowledged)
            }
            try await publishing
            try expectEqual(received, ids(0..<5_000), "order")
            try await eventually("the queue is empty") { try await broker.queueStatus(queue)?.ready == 0 }
        },
        BrokerConformanceCase("A message arrives as it was published, in queues and in logs.") { scene in
            let broker = try await scene.broker()
            let messages = [
                Message(),
                Message(
                    id: "identität-✓",
                    type: "типа",
                    contentType: "application/json; charset=utf-8",
                    headers: [
                        Message.Header("text", .string("grüße 👩‍👩‍👧 \u{0301} 漢字")),
                        Message.Header("ключ-✓", .string("")),
                        Message.Header("zero", .integer(0)),
                        Message.Header("smallest", .integer(.min)),
                        Message.Header("largest", .integer(.max)),
                        Message.Header("yes", .bool(true)),
                        Message.Header("no", .bool(false)),
                    ],
                    body: Array("{\"größe\": 1}".utf8)
                ),
                Message(id: String(repeating: "i", count: 255), body: [0]),
                Message(id: "bytes", body: (0..<1_048_576).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }),
            ]
            let queue = try await scene.queue(on: broker)
            try await broker.publish(messages, to: queue)
            let deliveries = try await broker.consume(queue, prefetch: 10).receive(messages.count)
            for (delivery, message) in zip(deliveries, messages) {
                try expectSame(delivery.message, message)
                try expectEqual(delivery.death, nil, "death")
            }
            try await broker.settle(deliveries, as: .acknowledged)

            let log = try await scene.log(on: broker)
            try await broker.append(messages, to: log)
            let entries = try await broker.read(log, from: .first).read(messages.count)
            for (entry, message) in zip(entries, messages) { try expectSame(entry.message, message) }
        },
        BrokerConformanceCase("Publishing no messages has no effect.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await broker.publish([], to: queue)
            try await broker.settle([], as: .acknowledged)
            try expectEqual(try await broker.queueStatus(queue)?.ready, 0, "ready")
        },
    ]

    static let consuming: [BrokerConformanceCase] = [
        BrokerConformanceCase("A consumer holds exactly its prefetch until it settles.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<20), to: queue)
            let consumer = try await broker.consume(queue, prefetch: 7)
            let first = try await consumer.receive(7)
            try expectEqual(ids(first), ids(0..<7), "the first deliveries")
            try await eventually("13 wait") { try await broker.queueStatus(queue)?.ready == 13 }
            let pending = PendingNext(consumer)
            try await pending.staysQuiet()
            try await broker.settle(Array(first[0..<3]), as: .acknowledged)
            var second = try await pending.value() ?? []
            if second.count < 3 { second += try await consumer.receive(3 - second.count) }
            try expectEqual(ids(second), ids(7..<10), "the next deliveries")
            try await eventually("10 wait") { try await broker.queueStatus(queue)?.ready == 10 }
            try await broker.settle(first[3...] + second, as: .acknowledged)
            try expectEqual(ids(try await consumer.receive(7)), ids(10..<17), "the last deliveries")
        },
        BrokerConformanceCase("A waiting consumer receives what another connection publishes.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let queue = try await scene.queue(on: broker)
            let consumer = try await broker.consume(queue, prefetch: 1)
            for number in 0..<20 {
                let pending = PendingNext(consumer)
                try await other.publish(numbered(number..<number + 1), to: queue)
                let deliveries = try require(try await pending.value(), "delivery")
                try expectEqual(ids(deliveries), ["\(number)"], "delivery")
                try await broker.settle(deliveries, as: .acknowledged)
            }
        },
        BrokerConformanceCase("Two consumers share a queue, and neither receives what the other holds.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let queue = try await scene.queue(on: broker)
            let one = try await broker.consume(queue, prefetch: 10)
            let two = try await other.consume(queue, prefetch: 10)
            try await eventually("there are 2 consumers") { try await broker.queueStatus(queue)?.consumers == 2 }
            try await broker.publish(numbered(0..<20), to: queue)
            async let left = one.receive(10)
            async let right = two.receive(10)
            let all = try await ids(left) + ids(right)
            try expectEqual(Set(all), Set(ids(0..<20)), "deliveries")
        },
        BrokerConformanceCase("Cancelling a consumer returns its buffer, and nothing arrives afterwards.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<10), to: queue)
            let consumer = try await broker.consume(queue, prefetch: 5)
            let handedOut = try require(try await consumer.next(), "delivery")
            let buffered = try await withTimeout(.seconds(10), "cancelling") { try await consumer.cancel() }
            try expect(handedOut.count + buffered.count <= 5, "more than the prefetch was delivered")
            try await broker.publish(numbered(10..<12), to: queue)
            let after = try await withTimeout(.seconds(10), "next() after cancel()") { try await consumer.next() }
            try expect(after == nil, "next() after cancel() returned something")
            let again = try await withTimeout(.seconds(10), "cancelling twice") { try await consumer.cancel() }
            try expect(again.isEmpty, "cancelling twice returned something")

            try await broker.settle(handedOut, as: .acknowledged)
            try await broker.settle(buffered, as: .returned)
            // RabbitMQ counts a consumer that has ended as long as it holds messages.
            try await eventually("no consumer is left") { try await broker.queueStatus(queue)?.consumers == 0 }
            let rest = try await broker.consume(queue, prefetch: 20).receive(12 - handedOut.count)
            try expectEqual(ids(rest), ids(handedOut.count..<12), "the rest")
        },
        BrokerConformanceCase("What is on its way to a cancelled consumer arrives, and none of it counts twice.") {
            scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<3_000), to: queue)
            let consumer = try await broker.consume(queue, prefetch: 3_000)
            var deliveries = try await withTimeout(.seconds(20), "cancelling") { try await consumer.cancel() }
            while let more = try await broker.get(queue) { deliveries.append(more) }
            try expectEqual(Set(ids(deliveries)), Set(ids(0..<3_000)), "deliveries")
            try expect(deliveries.allSatisfy { $0.earlierDeliveries == 0 }, "a message was delivered twice")
        },
        BrokerConformanceCase("Cancelling a consumer ends a waiting call of next().") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            let consumer = try await broker.consume(queue, prefetch: 5)
            let pending = PendingNext(consumer)
            try await pending.staysQuiet(for: .milliseconds(50))
            _ = try await withTimeout(.seconds(10), "cancelling") { try await consumer.cancel() }
            try expect(try await pending.value() == nil, "next() returned something")
        },
        BrokerConformanceCase("A cancelled task leaves next() immediately, and no message is lost.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            let consumer = try await broker.consume(queue, prefetch: 5)
            let pending = PendingNext(consumer)
            try await pending.staysQuiet(for: .milliseconds(50))
            pending.cancelTask()
            do {
                _ = try await pending.value()
                throw BrokerConformanceFailure("next() returned", file: #fileID, line: #line)
            } catch is CancellationError {}
            try await broker.publish(numbered(0..<1), to: queue)
            // The consumer may continue or have ended; the message is with it or in the queue.
            if let deliveries = try await PendingNext(consumer).value() {
                try expectEqual(ids(deliveries), ["0"], "delivery")
            } else {
                let delivery = try require(try await broker.get(queue), "message in the queue")
                try expectEqual(delivery.message.id, "0", "delivery")
            }
        },
        BrokerConformanceCase("get takes one message, or returns nil if the queue is empty.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try expectEqual(try await broker.get(queue), nil, "message of an empty queue")
            try await broker.publish(numbered(0..<2), to: queue)
            let first = try require(try await broker.get(queue), "message")
            let second = try require(try await broker.get(queue), "message")
            try expectEqual(ids([first, second]), ["0", "1"], "messages")
            try expectEqual(try await broker.get(queue), nil, "third message")
            try await broker.settle([first, second], as: .acknowledged)
        },
        BrokerConformanceCase("The status of a queue counts ready messages, not held ones.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try expectEqual(try await broker.queueStatus(queue), QueueStatus(ready: 0, consumers: 0), "status")
            try await broker.publish(numbered(0..<5), to: queue)
            try await eventually("5 wait") { try await broker.queueStatus(queue)?.ready == 5 }
            let held = try require(try await broker.get(queue), "message")
            try await eventually("4 wait") { try await broker.queueStatus(queue)?.ready == 4 }
            try await broker.settle(held, as: .returned)
            try await eventually("5 wait again") { try await broker.queueStatus(queue)?.ready == 5 }
            try expectEqual(try await broker.queueStatus(scene.name("missing")), nil, "status of a missing queue")
        },
    ]

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
        BrokerConformanceCase(
            "A returned message is redelivered at the head of the queue, with one more delivery counted."
        ) { scene in
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
            let queue = try await scene.queue(on: broker, as: .work(deliveryLimit: 2, deadLetter: .queue(dead)))
            let message = Message(id: "poison", headers: [Message.Header("kept", .integer(7))], body: [1, 2])
            try await broker.publish([message] + numbered(0..<1), to: queue)
            try await returnMessage("poison", times: 3, from: queue, on: broker)
            let next = try require(try await broker.get(queue), "message after it")
            try expectEqual(next.message.id, "0", "message after it")
            try await eventually("it is dead") { try await broker.queueStatus(dead)?.ready == 1 }
            let delivery = try require(try await broker.get(dead), "dead message")
            try expectEqual(delivery.message.id, "poison", "dead message")
            try expectEqual(delivery.message.body, [1, 2], "body")
            try expectEqual(delivery.message.integer("kept"), 7, "header")
            try expectEqual(delivery.death, Delivery.Death(reason: "delivery_limit", queue: queue), "death")
        },
        BrokerConformanceCase("A message beyond its delivery limit moves to the dead-letter log with reason and queue.")
        {
            scene in
            let broker = try await scene.broker()
            let dead = try await scene.log("dead", on: broker)
            let queue = try await scene.queue(on: broker, as: .work(deliveryLimit: 1, deadLetter: .log(dead)))
            let message = Message(
                id: "poison",
                type: "task",
                headers: [Message.Header("kept", .string("✓"))],
                body: [1]
            )
            try await broker.publish(message, to: queue)
            try await returnMessage("poison", times: 2, from: queue, on: broker)
            let entry = try require(try await broker.read(dead, from: .first).read(1).first, "entry")
            try expectEqual(entry.message.id, "poison", "id")
            try expectEqual(entry.message.type, "task", "type")
            try expectEqual(entry.message.body, [1], "body")
            try expectEqual(entry.message.string("kept"), "✓", "header")
            try expectEqual(entry.message.string("x-first-death-reason"), "delivery_limit", "reason")
            try expectEqual(entry.message.string("x-first-death-queue"), queue, "queue")
            try await eventually("nothing waits") { try await broker.queueStatus(queue)?.ready == 0 }
        },
        BrokerConformanceCase("A message beyond its delivery limit is dropped if the queue has no dead letters.") {
            scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker, as: .work(deliveryLimit: 1))
            try await broker.publish(numbered(0..<1), to: queue)
            try await returnMessage("0", times: 2, from: queue, on: broker)
            try await broker.publish(numbered(1..<2), to: queue)
            let next = try require(try await broker.get(queue), "message")
            try expectEqual(next.message.id, "1", "message")
        },
        BrokerConformanceCase("A message that dies twice keeps its first death.") { scene in
            let broker = try await scene.broker()
            let log = try await scene.log("dead", on: broker)
            let suspects = try await scene.queue(
                "suspects",
                on: broker,
                as: .work(deliveryLimit: 1, deadLetter: .log(log))
            )
            let queue = try await scene.queue(on: broker, as: .work(deliveryLimit: 1, deadLetter: .queue(suspects)))
            try await broker.publish(numbered(0..<1), to: queue)
            try await returnMessage("0", times: 2, from: queue, on: broker)
            try await eventually("it is suspect") { try await broker.queueStatus(suspects)?.ready == 1 }
            try await returnMessage("0", times: 2, from: suspects, on: broker)
            let entry = try require(try await broker.read(log, from: .first).read(1).first, "entry")
            try expectEqual(entry.message.string("x-first-death-reason"), "delivery_limit", "reason")
            try expectEqual(entry.message.string("x-first-death-queue"), queue, "queue")
        },
        BrokerConformanceCase("A rejected message moves to the dead letters immediately, or is dropped.") { scene in
            let broker = try await scene.broker()
            let dead = try await scene.queue("dead", on: broker)
            let queue = try await scene.queue(on: broker, as: .work(deliveryLimit: 3, deadLetter: .queue(dead)))
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
        BrokerConformanceCase("Tokens survive any number of returns and lost holders.") {
            scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue("permits", on: broker, as: .tokens())
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
        BrokerConformanceCase("Settling twice is no error and affects no other message.") { scene in
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

    /// Takes the message with get and returns it this number of times, and checks its delivery count.
    private static func returnMessage(_ id: String, times: Int, from queue: String, on broker: any Broker) async throws
    {
        for round in 0..<times {
            let delivery = try require(try await broker.get(queue), "message in round \(round)")
            try expectEqual(delivery.message.id, id, "message in round \(round)")
            try expectEqual(delivery.earlierDeliveries, round, "earlier deliveries in round \(round)")
            try await broker.settle(delivery, as: .returned)
        }
    }
}
