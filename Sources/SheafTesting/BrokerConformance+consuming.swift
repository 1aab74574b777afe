import SheafBroker
import SheafCore

extension BrokerConformance {
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
        BrokerConformanceCase("A waiting consumer gets what another connection publishes.") { scene in
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
        BrokerConformanceCase("Two consumers share a queue and none gets what the other holds.") { scene in
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
        BrokerConformanceCase("Cancelling a consumer gives back its buffer, and nothing arrives after.") { scene in
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
            // RabbitMQ counts a consumer that has ended as long as it holds something.
            try await eventually("no consumer is left") { try await broker.queueStatus(queue)?.consumers == 0 }
            let rest = try await broker.consume(queue, prefetch: 20).receive(12 - handedOut.count)
            try expectEqual(ids(rest), ids(handedOut.count..<12), "the rest")
        },
        BrokerConformanceCase("Cancelling a consumer ends a call of next() that waits.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            let consumer = try await broker.consume(queue, prefetch: 5)
            let pending = PendingNext(consumer)
            try await pending.staysQuiet(for: .milliseconds(50))
            _ = try await withTimeout(.seconds(10), "cancelling") { try await consumer.cancel() }
            try expect(try await pending.value() == nil, "next() returned something")
        },
        BrokerConformanceCase("A cancelled task leaves next() at once, and no message is lost by it.") { scene in
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
            // The consumer may go on, or have ended; the message is with it or in the queue.
            if let deliveries = try await PendingNext(consumer).value() {
                try expectEqual(ids(deliveries), ["0"], "delivery")
            } else {
                let delivery = try require(try await broker.get(queue), "message in the queue")
                try expectEqual(delivery.message.id, "0", "delivery")
            }
        },
        BrokerConformanceCase("get takes one message, or nothing from an empty queue.") { scene in
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
        BrokerConformanceCase("The status of a queue counts what waits, not what is held.") { scene in
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
}
