import SheafBroker

/// The consumers and locks of one broker instance, under a number that is never reused in a file.
///
/// It is registered in the file when it first receives a message: an instance that only reads or publishes writes no
/// session, and can read on a full disk.
actor Session {
    private let directory: BrokerDirectory
    private let writer: Writer
    /// The number, and the locked file that shows other processes that this session is alive.
    private var registered: Registered?
    private var registration: Task<Registered, any Error>?
    private(set) var isClosed = false
    private var lastNumber: Int64 = 0
    private var consumers: [Int64: Subscriber] = [:]
    private var locks: [ObjectIdentifier: SQLiteLock] = [:]

    private struct Registered {
        let id: Int64
        let file: SessionFile
    }

    init(_ directory: BrokerDirectory, _ writer: Writer) {
        self.directory = directory
        self.writer = writer
    }

    /// The number of the session, which is registered at the first access.
    var id: Int64 {
        get async throws {
            if let registered { return registered.id }
            guard !isClosed else { throw Writer.closed }
            let task = registration ?? Task { [directory, writer] in try await Self.register(directory, writer) }
            registration = task
            do {
                let found = try await task.value
                registered = found
                return found.id
            } catch {
                if registration == task { registration = nil }
                throw error
            }
        }
    }

    /// The number of the session, or nil if it is not registered.
    var currentID: Int64? { registered?.id }

    private static func register(_ directory: BrokerDirectory, _ writer: Writer) async throws -> Registered {
        // Locked before it is registered, or other processes would consider the session dead.
        let file = try SessionFile(directory)
        do {
            return Registered(id: try await writer.perform { try $0.register(file: file.name) }, file: file)
        } catch {
            file.remove()
            throw error
        }
    }

    /// Returns a new number for a consumer or reader, never 0.
    func nextNumber() -> Int64 {
        lastNumber += 1
        return lastNumber
    }

    /// Registers a consumer.
    func add(_ consumer: SQLiteConsumer, number: Int64) {
        consumers[number] = Subscriber(consumer: consumer)
    }

    /// Returns the consumer with a number, or nil if it has ended.
    func consumer(_ number: Int64) -> SQLiteConsumer? { consumers[number]?.consumer }

    /// Removes a consumer.
    func remove(consumer number: Int64) {
        consumers[number] = nil
    }

    /// Keeps a lock, to release it when the session ends; returns false if the session has already ended.
    func add(_ lock: SQLiteLock) async -> Bool {
        guard !isClosed else { return false }
        for (id, lock) in locks where await !lock.isHeld { locks[id] = nil }
        guard !isClosed else { return false }
        locks[ObjectIdentifier(lock)] = lock
        return true
    }

    /// Ends the session and releases its locks; returns false if it has already ended.
    func close() async -> Bool {
        guard !isClosed else { return false }
        isClosed = true
        for lock in locks.values { await lock.release() }
        locks = [:]
        consumers = [:]
        if let registration { registered = try? await registration.value }
        return true
    }

    /// Removes the session file, so that other processes find the session dead if it could not be ended.
    func removeFile() {
        registered?.file.remove()
        registered = nil
        registration = nil
    }
}

/// A weak reference to a consumer: the consumer keeps the session alive, not the other way round.
private struct Subscriber {
    weak let consumer: SQLiteConsumer?
}

/// A named lock held through a locked file.
actor SQLiteLock: BrokerLock {
    nonisolated let name: String
    private var file: FileLock?

    init(name: String, file: FileLock) {
        self.name = name
        self.file = file
    }

    var isHeld: Bool { file != nil }

    func release() {
        file?.removeFile()
        file = nil
    }
}
