import SheafBroker

/// What one instance of the broker holds, under a number that is never used twice in a file.
actor Session {
    /// The number.
    nonisolated let id: Int64
    /// Tells others that this session lives.
    nonisolated let file: SessionFile
    private(set) var isClosed = false
    private var lastNumber: Int64 = 0
    private var consumers: [Int64: Subscriber] = [:]
    private var locks: [ObjectIdentifier: SQLiteLock] = [:]

    init(id: Int64, file: SessionFile) {
        self.id = id
        self.file = file
    }

    /// A number for a consumer or reader, never 0.
    func nextNumber() -> Int64 {
        lastNumber += 1
        return lastNumber
    }

    /// Keeps a consumer until it ends.
    func add(_ consumer: SQLiteConsumer, number: Int64) {
        consumers[number] = Subscriber(consumer: consumer)
    }

    /// The consumer of that number, or nil when it has ended.
    func consumer(_ number: Int64) -> SQLiteConsumer? { consumers[number]?.consumer }

    /// Forgets a consumer.
    func remove(consumer number: Int64) {
        consumers[number] = nil
    }

    /// Keeps a lock, to free it when the session ends; false when it has ended.
    func add(_ lock: SQLiteLock) async -> Bool {
        guard !isClosed else { return false }
        for (id, lock) in locks where await !lock.isHeld { locks[id] = nil }
        guard !isClosed else { return false }
        locks[ObjectIdentifier(lock)] = lock
        return true
    }

    /// Ends the session and frees its locks; false when it has ended before.
    func close() async -> Bool {
        guard !isClosed else { return false }
        isClosed = true
        for lock in locks.values { await lock.release() }
        locks = [:]
        consumers = [:]
        return true
    }
}

/// A consumer that belongs to whoever receives from it; it keeps the session alive, not the other way round.
private struct Subscriber {
    weak let consumer: SQLiteConsumer?
}
