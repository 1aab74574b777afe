import SheafBroker
import SheafCore

extension BrokerConformance {
    static let removing: [BrokerConformanceCase] = [
        BrokerConformanceCase("Purging drops what waits and not what is held.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<10), to: queue)
            let held = try require(try await broker.get(queue), "message")
            let returned = try require(try await broker.get(queue), "message")
            try await broker.settle(returned, as: .returned)
            try await eventually("9 wait") { try await broker.queueStatus(queue)?.ready == 9 }
            try expectEqual(try await broker.purgeQueue(queue), 9, "purged")
            try expectEqual(try await broker.purgeQueue(queue), 0, "purged again")
            try await broker.settle(held, as: .returned)
            try await broker.publish(numbered(10..<11), to: queue)
            let left = try await broker.consume(queue, prefetch: 5).receive(2)
            try expectEqual(ids(left), ["0", "10"], "left")
        },
        BrokerConformanceCase("Deleting a queue ends its consumers, here and elsewhere, waiting or full.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<1), to: queue)
            let full = try await broker.consume(queue, prefetch: 1)
            _ = try await full.receive(1)
            let waiting = try await other.consume(queue, prefetch: 1)
            let calls = [PendingNext(full), PendingNext(waiting)]
            try await calls[0].staysQuiet(for: .milliseconds(50))
            try await calls[1].staysQuiet(for: .milliseconds(50))
            try await broker.deleteQueue(queue)
            for call in calls {
                try await expectError(.queueGone, "next() of a deleted queue") { _ = try await call.value() }
            }
            try expectEqual(try await broker.queueStatus(queue), nil, "status")
            try await broker.deleteQueue(queue)
        },
        BrokerConformanceCase("PendingSettlement a delivery of a deleted queue is no error.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<2), to: queue)
            let deliveries = try await broker.consume(queue, prefetch: 2).receive(2)
            try await broker.deleteQueue(queue)
            try await broker.settle(deliveries[0], as: .acknowledged)
            try await broker.settle(deliveries[1], as: .returned)
        },
        BrokerConformanceCase("What does not exist is not found.") { scene in
            let broker = try await scene.broker()
            let missing = scene.name("missing")
            try await expectError(.notFound, "publishing") { try await broker.publish(Message(), to: missing) }
            try await expectError(.notFound, "consuming") { _ = try await broker.consume(missing, prefetch: 1) }
            try await expectError(.notFound, "getting") { _ = try await broker.get(missing) }
            try await expectError(.notFound, "appending") { try await broker.append(Message(), to: missing) }
            try await expectError(.notFound, "reading") { _ = try await broker.read(missing, from: .first) }
            try expectEqual(try await broker.queueStatus(missing), nil, "status")
            try expectEqual(try await broker.endOffset(of: missing), nil, "end offset")
            try await broker.deleteQueue(missing)
            try await broker.deleteLog(missing)
            // An error on one name does not disturb the work on others.
            let queue = try await scene.queue(on: broker)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask { try await broker.publish(numbered(number..<number + 1), to: queue) }
                    group.addTask {
                        try await expectError(.notFound, "publishing") {
                            try await broker.publish(Message(), to: missing)
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await eventually("20 wait") { try await broker.queueStatus(queue)?.ready == 20 }
        },
        BrokerConformanceCase("Declaring an equal queue or log again does nothing; a different limit is a mismatch.") {
            scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker, limit: 3)
            let log = try await scene.log(on: broker)
            try await broker.publish(numbered(0..<1), to: queue)
            try await broker.append(numbered(0..<1), to: log)
            _ = try await scene.queue(on: broker, limit: 3)
            _ = try await scene.log(on: broker)
            try await eventually("1 waits") { try await broker.queueStatus(queue)?.ready == 1 }
            _ = try await broker.read(log, from: .first).read(1)
            let different = QueueDeclaration(name: queue, deliveryLimit: 4)
            try await expectError(.mismatch, "a different limit") { try await broker.declareQueue(different) }
            try await broker.publish(numbered(1..<2), to: queue)
        },
        BrokerConformanceCase("Names that make no sense are refused.") { scene in
            let broker = try await scene.broker()
            let long = String(repeating: "n", count: 234)
            try await expectError(.invalidArgument, "a queue's long name") {
                try await broker.declareQueue(QueueDeclaration(name: long, deliveryLimit: 3))
            }
            try await expectError(.invalidArgument, "a log's long name") {
                try await broker.declareLog(LogDeclaration(name: long))
            }
            try await expectError(.invalidArgument, "a lock's long name") { _ = try await broker.acquireLock(long) }
            try await expectError(.invalidArgument, "an empty name") {
                try await broker.declareQueue(QueueDeclaration(name: "", deliveryLimit: 3))
            }
            let queue = try await scene.queue(on: broker)
            try await expectError(.invalidArgument, "a prefetch of zero") {
                _ = try await broker.consume(queue, prefetch: 0)
            }
        },
    ]
}
