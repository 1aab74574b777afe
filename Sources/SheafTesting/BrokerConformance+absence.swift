import SheafBroker
import SheafCore

extension BrokerConformance {
    static let absence: [BrokerConformanceCase] = [
        BrokerConformanceCase("Purging drops ready messages but not held ones.") { scene in
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
        BrokerConformanceCase("Deleting a queue ends its consumers on every connection, waiting or full.") { scene in
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
        BrokerConformanceCase("Settling a delivery of a deleted queue is no error.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<2), to: queue)
            let deliveries = try await broker.consume(queue, prefetch: 2).receive(2)
            try await broker.deleteQueue(queue)
            try await broker.settle(deliveries[0], as: .acknowledged)
            try await broker.settle(deliveries[1], as: .returned)
        },
        BrokerConformanceCase("A queue or log that does not exist is reported as not found.") { scene in
            let broker = try await scene.broker()
            let missing = scene.name("missing")
            try await expectError(.notFound, "publishing") { try await broker.publish(Message(), to: missing) }
            try await expectError(.notFound, "consuming") { _ = try await broker.consume(missing, prefetch: 1) }
            try await expectError(.notFound, "getting") { _ = try await broker.get(missing) }
            try await expectError(.notFound, "purging") { _ = try await broker.purgeQueue(missing) }
            try await expectError(.notFound, "appending") { try await broker.append(Message(), to: missing) }
            try await expectError(.notFound, "reading") { _ = try await broker.read(missing, from: .first) }
            try expectEqual(try await broker.queueStatus(missing), nil, "status")
            try expectEqual(try await broker.endOffset(of: missing), nil, "end offset")
            try await broker.deleteQueue(missing)
            try await broker.deleteLog(missing)
            // An error for one name does not affect others.
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
        BrokerConformanceCase("A queue or log that is declared again after its deletion is found immediately.") {
            scene in
            let broker = try await scene.broker()
            for round in 0..<3 {
                let queue = try await scene.queue(on: broker)
                let log = try await scene.log(on: broker)
                try await broker.publish(numbered(0..<1), to: queue)
                try await broker.append(numbered(0..<1), to: log)
                let delivery = try require(try await broker.get(queue), "message in round \(round)")
                try await broker.settle(delivery, as: .acknowledged)
                _ = try await broker.read(log, from: .first).read(1)
                try await broker.deleteQueue(queue)
                try await broker.deleteLog(log)
                try await expectError(.notFound, "getting") { _ = try await broker.get(queue) }
                try expectEqual(try await broker.queueStatus(queue), nil, "status")
                try expectEqual(try await broker.endOffset(of: log), nil, "end offset")
            }
        },
        BrokerConformanceCase("Redeclaring an identical queue or log has no effect; a different limit is a mismatch.") {
            scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker, as: .work(deliveryLimit: 3))
            let log = try await scene.log(on: broker)
            try await broker.publish(numbered(0..<1), to: queue)
            try await broker.append(numbered(0..<1), to: log)
            _ = try await scene.queue(on: broker, as: .work(deliveryLimit: 3))
            _ = try await scene.log(on: broker)
            try await eventually("1 waits") { try await broker.queueStatus(queue)?.ready == 1 }
            _ = try await broker.read(log, from: .first).read(1)
            let different = QueueDeclaration(name: queue, kind: .work(deliveryLimit: 4))
            try await expectError(.mismatch, "a different limit") { try await broker.declareQueue(different) }
            try await broker.publish(numbered(1..<2), to: queue)
        },
        BrokerConformanceCase("Invalid names and numbers are rejected.") { scene in
            let broker = try await scene.broker()
            let long = String(repeating: "n", count: 234)
            try await expectError(.invalidArgument, "a queue's long name") {
                try await broker.declareQueue(QueueDeclaration(name: long, kind: .work(deliveryLimit: 3)))
            }
            try await expectError(.invalidArgument, "a log's long name") {
                try await broker.declareLog(LogDeclaration(name: long))
            }
            try await expectError(.invalidArgument, "a lock's long name") { _ = try await broker.acquireLock(long) }
            try await expectError(.invalidArgument, "an empty name") {
                try await broker.declareQueue(QueueDeclaration(name: "", kind: .work(deliveryLimit: 3)))
            }
            for kind in [
                QueueDeclaration.Kind.work(deliveryLimit: -1), .waitingRoom(lifetime: .seconds(-1), then: "next"),
            ] {
                try await expectError(.invalidArgument, "a negative number") {
                    try await broker.declareQueue(QueueDeclaration(name: scene.name("negative"), kind: kind))
                }
            }
            let queue = try await scene.queue(on: broker)
            try await expectError(.invalidArgument, "a prefetch of zero") {
                _ = try await broker.consume(queue, prefetch: 0)
            }
        },
    ]
}
