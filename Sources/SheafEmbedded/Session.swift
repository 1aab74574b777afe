import SheafBroker

/// What one instance of the broker holds, under a number that is never used twice in a file.
///
/// It is noted in the file when it first receives something: who only reads or publishes leaves no trace, and reads on
/// a full disk too.
actor Session {
    private let directory: BrokerDirectory
    private let writer: Writer
    /// The number, and the locked file that tells others that this session lives.
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

    /// The number; notes the session where nobody has asked for it before.
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

    /// The number, if the session was noted.
    var currentID: Int64? { registered?.id }

    private static func register(_ directory: BrokerDirectory, _ writer: Writer) async throws -> Registered {
        // Locked before it is noted, or others would take the session for dead.
        let file = try SessionFile(directory)
        do {
            return Registered(id: try await writer.perform { try $0.register(file: file.name) }, file: file)
        } catch {
            file.remove()
            throw error
        }
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
        if let registration { registered = try? await registration.value }
        return true
    }

    /// Lets go of the file, so that others find the session dead where it could not be ended.
    func removeFile() {
        registered?.file.remove()
        registered = nil
        registration = nil
    }
}

/// A consumer that belongs to whoever receives from it; it keeps the session alive, not the other way round.
private struct Subscriber {
    weak let consumer: SQLiteConsumer?
}
