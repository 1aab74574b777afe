import GRDB
import GRDBSQLite

/// A connection inside a transaction, which the operations on the tables extend.
struct SQLTransaction {
    private let database: Database
    /// The clock of the file.
    let clock: FileClock

    init(_ database: Database, _ clock: FileClock) {
        self.database = database
        self.clock = clock
    }

    /// Returns the version of SQLite.
    func libraryVersion() throws -> String {
        try statement("SELECT sqlite_version()").first { $0.text(0) } ?? ""
    }

    /// Returns a number that changes whenever another connection changes the file.
    func dataVersion() throws -> Int64 {
        try statement("PRAGMA data_version").first { $0.integer(0) } ?? 0
    }

    /// Returns the cached prepared statement of an SQL string.
    func statement(_ sql: String) throws -> SQLStatement {
        try SQLStatement(sql, in: database)
    }

    /// Runs a statement with integer arguments, and returns the number of changed rows.
    @discardableResult
    func run(_ sql: String, _ arguments: Int64...) throws -> Int {
        let statement = try statement(sql)
        for (index, argument) in arguments.enumerated() { statement.bind(argument, at: Int32(index + 1)) }
        return try statement.run()
    }
}

/// A prepared statement whose values are bound directly with SQLite.
///
/// GRDB prepares, caches and finalizes it; binding through GRDB's boxed values costs more than SQLite's own work per
/// row. It is used only on the queue of its connection.
struct SQLStatement {
    private let handle: SQLiteStatement
    private let connection: SQLiteConnection

    init(_ sql: String, in database: Database) throws {
        guard let connection = database.sqliteConnection else {
            throw DatabaseError(resultCode: .SQLITE_MISUSE, message: "the connection is closed")
        }
        self.handle = try database.cachedStatement(sql: sql).sqliteStatement
        self.connection = connection
    }

    // MARK: Binding (from 1)

    func bind(_ value: Int64, at index: Int32) {
        sqlite3_bind_int64(handle, index, value)
    }

    func bind(_ value: Int64?, at index: Int32) {
        if let value { bind(value, at: index) } else { sqlite3_bind_null(handle, index) }
    }

    func bind(_ value: String, at index: Int32) {
        // Short strings are in a register or on the stack, so SQLite has to copy them.
        var value = value
        let isBound = value.withUTF8 { text in
            guard let start = UnsafeRawPointer(text.baseAddress) else { return false }
            let characters = start.assumingMemoryBound(to: CChar.self)
            sqlite3_bind_text(handle, index, characters, Int32(text.count), copied)
            return true
        }
        // An empty string may have no address, and a null pointer would bind NULL.
        if !isBound { sqlite3_bind_text(handle, index, "", 0, copied) }
    }

    func bind(_ value: String?, at index: Int32) {
        if let value { bind(value, at: index) } else { sqlite3_bind_null(handle, index) }
    }

    /// Binds bytes without copying; they must stay valid until the statement has run.
    func bind(uncopied bytes: UnsafeRawBufferPointer, at index: Int32) {
        if bytes.isEmpty {
            sqlite3_bind_zeroblob(handle, index, 0)
        } else {
            sqlite3_bind_blob64(handle, index, bytes.baseAddress, sqlite3_uint64(bytes.count), nil)
        }
    }

    // MARK: Running

    /// Runs a statement that returns no rows, and returns the number of changed rows.
    @discardableResult
    func run() throws -> Int {
        let code = sqlite3_step(handle)
        guard code == SQLITE_DONE else { throw failure(code) }
        sqlite3_reset(handle)
        return Int(sqlite3_changes(connection))
    }

    /// Steps to the next row; returns false, with the statement reset, if there is none.
    func step() throws -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE:
            sqlite3_reset(handle)
            return false
        case let code: throw failure(code)
        }
    }

    /// Discards the remaining rows.
    func reset() {
        sqlite3_reset(handle)
    }

    /// Reads the first row; returns nil if there is none.
    func first<Value>(_ read: (SQLStatement) throws -> Value) throws -> Value? {
        guard try step() else { return nil }
        defer { reset() }
        return try read(self)
    }

    // MARK: Reading (from 0)

    func integer(_ column: Int32) -> Int64 {
        sqlite3_column_int64(handle, column)
    }

    func optionalInteger(_ column: Int32) -> Int64? {
        sqlite3_column_type(handle, column) == SQLITE_NULL ? nil : integer(column)
    }

    func text(_ column: Int32) -> String {
        guard let start = sqlite3_column_text(handle, column) else { return "" }
        let count = Int(sqlite3_column_bytes(handle, column))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    func optionalText(_ column: Int32) -> String? {
        sqlite3_column_type(handle, column) == SQLITE_NULL ? nil : text(column)
    }

    func bytes(_ column: Int32) -> [UInt8] {
        guard let start = sqlite3_column_blob(handle, column) else { return [] }
        return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column))))
    }

    private func failure(_ code: Int32) -> DatabaseError {
        let message = String(cString: sqlite3_errmsg(connection))
        sqlite3_reset(handle)
        return DatabaseError(resultCode: ResultCode(rawValue: code), message: message)
    }
}

/// Makes SQLite copy a bound value (`SQLITE_TRANSIENT`, a cast that Swift does not import).
private let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
