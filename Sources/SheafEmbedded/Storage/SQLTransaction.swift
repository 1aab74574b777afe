import GRDB

/// What the operations on the tables are written against: a connection inside a transaction.
struct SQLTransaction {
    private let database: Database
    /// The clock of the file.
    let clock: FileClock

    init(_ database: Database, _ clock: FileClock) {
        self.database = database
        self.clock = clock
    }

    /// The version of SQLite.
    func libraryVersion() throws -> String {
        try statement("SELECT sqlite_version()").first { $0.text(0) } ?? ""
    }

    /// A number that is another one whenever another connection has changed the file.
    func dataVersion() throws -> Int64 {
        try statement("PRAGMA data_version").first { $0.integer(0) } ?? 0
    }

    /// The prepared statement of this text.
    func statement(_ sql: String) throws -> SQLStatement {
        try SQLStatement(sql, in: database)
    }

    /// Runs a statement with whole numbers as arguments, and returns how many rows it changed.
    @discardableResult
    func run(_ sql: String, _ arguments: Int64...) throws -> Int {
        let statement = try statement(sql)
        for (index, argument) in arguments.enumerated() { statement.bind(argument, at: Int32(index + 1)) }
        return try statement.run()
    }
}
