import SheafBroker
import SheafCore

extension BrokerConformance {
    static let connections: [BrokerConformanceCase] = [
        BrokerConformanceCase("Closing a connection makes what it held available to the next consumer.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<6), to: queue)
            _ = try await broker.consume(queue, prefetch: 3).receive(3)
            _ = try require(try await broker.get(queue), "message")
            let consumer = try await other.consume(queue, prefetch: 10)
            let rest = try await consumer.receive(2)
            try expectEqual(ids(rest), ["4", "5"], "what was not held")
            let pending = PendingNext(consumer)
            await broker.close()
            var back = try await pending.value() ?? []
            if back.count < 4 { back += try await consumer.receive(4 - back.count) }
            try expectEqual(Set(ids(back)), Set(ids(0..<4)), "what was held")
            try expect(back.allSatisfy { $0.earlierDeliveries == 1 }, "a lost holder does not count as a delivery")
        },
        BrokerConformanceCase("A lost holder counts towards the delivery limit of a message.") { scene in
            let broker = try await scene.broker()
            let dead = try await scene.queue("dead", on: broker)
            let queue = try await scene.queue(on: broker, as: .work(deliveryLimit: 1, deadLetter: .queue(dead)))
            try await broker.publish(numbered(0..<1), to: queue)
            for round in 0..<2 {
                let holder = try await scene.broker()
                let delivery = try await holder.consume(queue, prefetch: 1).receive(1)
                try expectEqual(delivery.map(\.earlierDeliveries), [round], "earlier deliveries")
                await holder.close()
            }
            let delivery = try await broker.consume(dead, prefetch: 1).receive(1)
            try expectEqual(delivery[0].death, Delivery.Death(reason: "delivery_limit", queue: queue), "death")
        },
        BrokerConformanceCase("A delivery of an earlier connection settles nothing.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let queue = try await scene.queue(on: broker)
            try await broker.publish(numbered(0..<1), to: queue)
            let stale = try await broker.consume(queue, prefetch: 1).receive(1)
            await broker.close()
            let consumer = try await other.consume(queue, prefetch: 1)
            let held = try await consumer.receive(1)
            try await other.settle(stale, as: .acknowledged)
            try await other.settle(held, as: .returned)
            let again = try await consumer.receive(1)
            try expectEqual(ids(again), ["0"], "message")
            try await other.settle(again, as: .acknowledged)
        },
        BrokerConformanceCase("After closing, calls fail and waiting calls end.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            let log = try await scene.log(on: broker)
            let consumer = try await broker.consume(queue, prefetch: 1)
            let reader = try await broker.read(log, from: .first)
            let pending = PendingNext(consumer)
            let reading = Task { while let chunk = try await reader.next(), chunk.entries.isEmpty {} }
            try await pending.staysQuiet(for: .milliseconds(50))
            await broker.close()
            try await expectError(.closed, "a waiting next()") { _ = try await pending.value() }
            try await expectError(.closed, "a waiting reader") { try await reading.value }
            try await expectError(.closed, "publishing") { try await broker.publish(Message(), to: queue) }
            try await expectError(.closed, "appending") { try await broker.append(Message(), to: log) }
            try await expectError(.closed, "getting") { _ = try await broker.get(queue) }
            try await expectError(.closed, "consuming") { _ = try await broker.consume(queue, prefetch: 1) }
            try await expectError(.closed, "reading") { _ = try await broker.read(log, from: .first) }
            try await expectError(.closed, "locking") { _ = try await broker.acquireLock(scene.name("lock")) }
            try await expectError(.closed, "asking for the status") { _ = try await broker.queueStatus(queue) }
            await broker.close()
        },
        BrokerConformanceCase("Closing under load ends every call.") { scene in
            let broker = try await scene.broker()
            let queue = try await scene.queue(on: broker)
            try await withTimeout(.seconds(20), "closing under load") {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<20 {
                        group.addTask {
                            for round in 0..<1_000 {
                                do {
                                    try await broker.publish(numbered(round..<round + 1), to: queue)
                                } catch { return }
                            }
                        }
                    }
                    group.addTask {
                        guard let consumer = try? await broker.consume(queue, prefetch: 10) else { return }
                        while let deliveries = try? await consumer.next() {
                            try? await broker.settle(deliveries, as: .acknowledged)
                        }
                    }
                    group.addTask {
                        try? await Task.sleep(for: .milliseconds(100))
                        await broker.close()
                    }
                }
            }
        },
        BrokerConformanceCase("A broker describes itself without credentials.") { scene in
            let broker = try await scene.broker()
            let description = try await broker.description
            try expect(!description.kind.isEmpty, "there is no kind")
            try expect(!description.address.isEmpty, "there is no address")
            try expect(!description.version.isEmpty, "there is no version")
        },
    ]

    static let locks: [BrokerConformanceCase] = [
        BrokerConformanceCase("One connection holds a lock, and every connection sees it.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let name = scene.name("lock")
            try expect(try await !broker.isLocked(name), "a lock that was never acquired is held")
            let lock = try require(try await broker.acquireLock(name), "lock")
            try expectEqual(lock.name, name, "name")
            try expect(await lock.isHeld, "the lock is not held by its holder")
            try expect(try await broker.isLocked(name), "the holder does not see the lock")
            try expect(try await other.isLocked(name), "others do not see the lock")
            try expect(try await other.acquireLock(name) == nil, "two hold the lock")
            try expect(try await broker.acquireLock(name) == nil, "one holds the lock twice")
            try expect(try await other.acquireLock(scene.name("another")) != nil, "another lock is held")
            await lock.release()
            try expect(await !lock.isHeld, "a released lock is held")
            try await eventually("it is free") { try await !other.isLocked(name) }
            let next = try require(try await other.acquireLock(name), "free lock")
            await lock.release()
            try expect(await next.isHeld, "releasing twice freed another's lock")
            try expect(try await broker.acquireLock(name) == nil, "two hold the lock after a second release")
        },
        BrokerConformanceCase("A lock is free after the connection of its holder is closed.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let name = scene.name("lock")
            let lock = try require(try await broker.acquireLock(name), "lock")
            await broker.close()
            try expect(await !lock.isHeld, "the lock of a closed connection is held")
            try await eventually("it is free") { try await !other.isLocked(name) }
            _ = try require(try await other.acquireLock(name), "free lock")
        },
        BrokerConformanceCase("Of many concurrent attempts to acquire a lock, one succeeds.") { scene in
            let brokers = [try await scene.broker(), try await scene.broker(), try await scene.broker()]
            for round in 0..<10 {
                let name = scene.name("lock\(round)")
                let taken = try await withThrowingTaskGroup(of: (any BrokerLock)?.self) { group in
                    for index in 0..<12 {
                        let broker = brokers[index % brokers.count]
                        group.addTask { try await broker.acquireLock(name) }
                    }
                    return try await group.reduce(into: []) { locks, lock in lock.map { locks.append($0) } }
                }
                try expectEqual(taken.count, 1, "holders in round \(round)")
            }
        },
        BrokerConformanceCase("Querying a lock does not prevent others from acquiring it.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let name = scene.name("lock")
            let looking = Task {
                while !Task.isCancelled { _ = try await other.isLocked(name) }
            }
            defer { looking.cancel() }
            for round in 0..<50 {
                let lock = try require(try await broker.acquireLock(name), "lock in round \(round)")
                await lock.release()
                try await eventually("it is free") { try await !broker.isLocked(name) }
            }
        },
        BrokerConformanceCase("Any text can name a lock.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let names = ["../up", "a/b", ".", "Größe ✓", "%2F", "a%2Fb", "a b"].map { scene.name($0) }
            for name in names {
                _ = try require(try await broker.acquireLock(name), "lock \(name)")
                try expect(try await other.isLocked(name), "\(name) is not held")
            }
        },
    ]
}
