import GRDB
import GRDBSQLite
import Glibc
import SheafBroker

/// A connection to the file.
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

    /// Runs a body with the connection; errors come out as the broker's.
    func run<Value>(_ body: (Database) throws -> Value) throws -> Value {
        try queue.inDatabase { database in try Self.throwing(from: database, at: path) { try body(database) } }
    }

    /// Runs a body that sees one state of the file.
    func read<Value>(_ body: (SQLTransaction) throws -> Value) throws -> Value {
        try transaction(.deferred, onTurn: { try $0() }, body)
    }

    /// Runs a body that changes the file, all of it or nothing; `onTurn` is given what asks for the right to write.
    func write<Value>(
        onTurn: (() throws -> Void) throws -> Void,
        _ body: (SQLTransaction) throws -> Value
    ) throws -> Value {
        try transaction(.immediate, onTurn: onTurn, body)
    }

    /// Brings what stands in the write-ahead log into the file, so that the room it takes can be used again; false where
    /// that does not help.
    func emptyLog() -> Bool {
        let counts = try? run { database in
            let statement = try SQLStatement("PRAGMA wal_checkpoint(PASSIVE)", in: database)
            return try statement.first { (all: $0.integer(1), done: $0.integer(2)) }
        }
        guard let counts = counts ?? nil else { return false }
        return counts.all > 0 && counts.all == counts.done
    }

    /// Closes the connection; a failure leaves it to the end of the process.
    func close() {
        try? queue.close()
    }

    /// How a transaction begins.
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
            // GRDB's own ways to begin and to end compile a statement each time.
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
        // Asked for here and not through GRDB, which would write to the file each time to make sure of the log.
        let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
        guard mode == "wal" else {
            throw BrokerError(.storage, "the broker's file \(path) can not have a write-ahead log")
        }
        // A crash of the machine may lose the last moments, never the file; a crash of a process loses nothing.
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
