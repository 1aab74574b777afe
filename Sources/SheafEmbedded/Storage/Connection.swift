import GRDB
import SheafBroker

/// A connection to the file.
struct Connection: Sendable {
    private let queue: DatabaseQueue
    private let path: String

    /// Opens the file, which must exist.
    init(_ path: String) throws {
        var configuration = Configuration()
        configuration.journalMode = .wal
        configuration.busyMode = .callback { TurnLock.waitForDatabase(attempt: $0) }
        configuration.prepareDatabase { database in
            // A crash of the machine may lose the last moments, never the file; a crash of a process loses nothing.
            try database.execute(sql: "PRAGMA synchronous = NORMAL")
            try database.execute(sql: "PRAGMA wal_autocheckpoint = 4000")
            try database.execute(sql: "PRAGMA journal_size_limit = 67108864")
            try database.execute(sql: "PRAGMA cache_size = -8000")
            try database.execute(sql: "PRAGMA temp_store = MEMORY")
        }
        do {
            self.queue = try DatabaseQueue(path: path, configuration: configuration)
        } catch {
            throw StorageFailure.error(for: error, at: path)
        }
        self.path = path
    }

    /// Runs a body with the connection; errors come out as the broker's.
    func run<Value>(_ body: (Database) throws -> Value) throws -> Value {
        do {
            return try queue.inDatabase(body)
        } catch {
            throw StorageFailure.error(for: error, at: path)
        }
    }

    /// Runs a body that sees one state of the file.
    func read<Value>(_ body: (SQLTransaction) throws -> Value) throws -> Value {
        try run { database in
            try database.beginTransaction(.deferred)
            do {
                let value = try body(SQLTransaction(database))
                try database.commit()
                return value
            } catch {
                try? database.rollback()
                throw error
            }
        }
    }

    /// Closes the connection; a failure leaves it to the end of the process.
    func close() {
        try? queue.close()
    }
}
