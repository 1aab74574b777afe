import SheafBroker
import SheafCore

extension BrokerConformance {
    static let publishing: [BrokerConformanceCase] = [
        BrokerConformanceCase("Confirmed messages arrive in the order of their publishing.") { scene in
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
        BrokerConformanceCase("5,000 messages in windows of 500 pass to a consumer that works at the same time.") {
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
        BrokerConformanceCase("Publishing nothing does nothing.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await broker.publish([], to: queue)
            try await broker.settle([], as: .acknowledged)
            try expectEqual(try await broker.queueStatus(queue)?.ready, 0, "ready")
        },
    ]
}

/// Throws a failure unless the messages are equal but for the order of their headers.
func expectSame(_ actual: Message, _ expected: Message, file: String = #fileID, line: Int = #line) throws {
    var (one, two) = (actual, expected)
    one.headers.sort { $0.name < $1.name }
    two.headers.sort { $0.name < $1.name }
    try expect(one.body == two.body, "the body of \(two.id) differs", file: file, line: line)
    one.body = []
    two.body = []
    try expectEqual(one, two, "message", file: file, line: line)
}
