public import SheafBroker

extension SQLiteBroker {
    /// Takes a lock for as long as this process and connection live, or returns nil where somebody holds it.
    public func acquireLock(_ name: String) async throws -> (any BrokerLock)? {
        try Argument.check(name: name)
        let path = try directory.lock(name)
        guard await !session.isClosed else { throw Writer.closed }
        guard let file = try FileLock.take(path) else { return nil }
        let lock = SQLiteLock(name: name, file: file)
        guard await session.add(lock) else {
            await lock.release()
            throw Writer.closed
        }
        return lock
    }

    /// Tells whether somebody holds a lock.
    public func isLocked(_ name: String) async throws -> Bool {
        try Argument.check(name: name)
        guard await !session.isClosed else { throw Writer.closed }
        return try FileLock.isHeld(try directory.lock(name))
    }
}
