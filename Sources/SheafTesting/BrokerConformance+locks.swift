import SheafBroker

extension BrokerConformance {
    static let locks: [BrokerConformanceCase] = [
        BrokerConformanceCase("One holds a lock, and everybody sees it.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let name = scene.name("lock")
            try expect(try await !broker.isLocked(name), "a lock that nobody took is held")
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
        BrokerConformanceCase("A lock is free once its holder's connection is closed.") { scene in
            let (broker, other) = (try await scene.broker(), try await scene.broker())
            let name = scene.name("lock")
            let lock = try require(try await broker.acquireLock(name), "lock")
            await broker.close()
            try expect(await !lock.isHeld, "the lock of a closed connection is held")
            try await eventually("it is free") { try await !other.isLocked(name) }
            _ = try require(try await other.acquireLock(name), "free lock")
        },
        BrokerConformanceCase("Of many who want a lock at once, one gets it.") { scene in
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
        BrokerConformanceCase("Looking at a lock does not keep anybody from taking it.") { scene in
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
