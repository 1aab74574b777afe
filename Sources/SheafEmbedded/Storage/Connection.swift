import Dispatch
import GRDB
import GRDBSQLite
import Glibc
import SheafBroker

/// A connection to the database file.
struct Connection: Sendable {
    private let queue: DatabaseQueue
    private let path: String
    private let clock: FileClock

    /// Opens the file, which must exist.
    init(_ path: String, _ clock: FileClock) throws {
        var configuration = Configuration()
        configuration.busyMode = .callback { TurnLock.waitForDatabase(attempt: $0) }
        configuration.prepareDatabase { database in
            try Self.throwing(from: database, at: path) { try Self.setUp(database, path) }
        }
        do {
            self.queue = try DatabaseQueue(path: path, configuration: configuration)
        } catch {
            throw StorageFailure.error(for: error, at: path)
        }
        self.path = path
        self.clock = clock
    }

    /// Runs a body with the connection; converts errors to the broker's errors.
    func run<Value>(_ body: (Database) throws -> Value) throws -> Value {
        try queue.inDatabase { database in try Self.throwing(from: database, at: path) { try body(database) } }
    }

    /// Runs a body that reads a consistent state of the file.
    func read<Value>(_ body: (SQLTransaction) throws -> Value) throws -> Value {
        try transaction(.deferred, onTurn: { try $0() }, body)
    }

    /// Runs a body that changes the file atomically; `onTurn` is passed the closure that acquires the write lock.
    func write<Value>(
        onTurn: (() throws -> Void) throws -> Void,
        _ body: (SQLTransaction) throws -> Value
    ) throws -> Value {
        try transaction(.immediate, onTurn: onTurn, body)
    }

    /// Copies the write-ahead log into the file, so that its space can be reused; returns false if that does not help.
    func emptyLog() -> Bool {
        let counts = try? run { database in
            let statement = try SQLStatement("PRAGMA wal_checkpoint(PASSIVE)", in: database)
            return try statement.first { (all: $0.integer(1), done: $0.integer(2)) }
        }
        guard let counts = counts ?? nil else { return false }
        return counts.all > 0 && counts.all == counts.done
    }

    /// Closes the connection; if that fails, it stays open until the process ends.
    func close() {
        try? queue.close()
    }

    /// The statement that begins a transaction.
    private enum Kind: String {
        case deferred = "BEGIN DEFERRED"
        case immediate = "BEGIN IMMEDIATE"
    }

    private func transaction<Value>(
        _ kind: Kind,
        onTurn: (() throws -> Void) throws -> Void,
        _ body: (SQLTransaction) throws -> Value
    ) throws -> Value {
        try run { database in
            // GRDB's own methods to begin and end a transaction compile a statement each time.
            try onTurn { try SQLStatement(kind.rawValue, in: database).run() }
            do {
                let value = try body(SQLTransaction(database, clock))
                try SQLStatement("COMMIT", in: database).run()
                return value
            } catch {
                try? database.rollback()
                throw error
            }
        }
    }

    private static func setUp(_ database: Database, _ path: String) throws {
        // Set here and not through GRDB, which would write to the file at each opening to ensure that the log exists.
        let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
        guard mode == "wal" else {
            throw BrokerError(.storage, "cannot use a write-ahead log for the broker's file \(path)")
        }
        // A crash of the machine may lose the most recent writes, never the file; a crash of a process loses nothing.
        try database.execute(sql: "PRAGMA synchronous = NORMAL")
        try database.execute(sql: "PRAGMA wal_autocheckpoint = 4000")
        try database.execute(sql: "PRAGMA journal_size_limit = 67108864")
        try database.execute(sql: "PRAGMA cache_size = -8000")
        try database.execute(sql: "PRAGMA temp_store = MEMORY")
    }

    private static func throwing<Value>(
        from database: Database,
        at path: String,
        _ body: () throws -> Value
    ) throws -> Value {
        do {
            return try body()
        } catch {
            // SQLite keeps the system's error of a statement, but not that of a commit.
            let numbers = [errno, database.sqliteConnection.map { sqlite3_system_errno($0) } ?? 0]
            throw StorageFailure.error(for: error, at: path, system: numbers)
        }
    }
}

/// Reads from the file concurrently with the writer, without ever waiting for it.
actor Reader {
    private let executor = DispatchQueueExecutor(label: "sheaf.embedded.reader")
    private let connection: Connection
    private var isClosed = false

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ directory: BrokerDirectory, _ clock: FileClock) throws {
        self.connection = try Connection(directory.database, clock)
    }

    /// Runs an operation that reads a consistent state of the file.
    func read<Value: Sendable>(_ operation: @Sendable (SQLTransaction) throws -> Value) throws -> Value {
        guard !isClosed else { throw Writer.closed }
        return try connection.read(operation)
    }

    /// Closes the file.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        connection.close()
    }
}

/// Runs an actor on a serial dispatch queue, so that disk access never blocks a thread of the cooperative pool.
final class DispatchQueueExecutor: SerialExecutor {
    /// The queue.
    let queue: DispatchQueue

    init(label: String) {
        self.queue = DispatchQueue(label: label, qos: .userInitiated)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    func checkIsolated() {
        dispatchPrecondition(condition: .onQueue(queue))
    }
}
