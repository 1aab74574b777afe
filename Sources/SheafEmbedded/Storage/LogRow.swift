import SheafBroker

/// A log as it stands in its table.
struct LogRow {
    /// Its number, never used twice.
    let id: Int64
    /// The size above which the oldest entries go, or nil.
    let maximumBytes: Int64?
    /// The offset of the oldest entry.
    let first: Int64
    /// The offset of the next entry to come.
    let next: Int64
    /// About how many bytes its entries take.
    let bytes: Int64

    private static let columns = "id, maximum_bytes, first, next, bytes FROM log"

    /// The log of that name, or nil.
    static func named(_ name: String, in transaction: SQLTransaction) throws -> LogRow? {
        let statement = try transaction.statement("SELECT \(columns) WHERE name = ?")
        statement.bind(name, at: 1)
        return try statement.first(LogRow.init)
    }

    /// The log of that number, or nil when it was deleted.
    static func numbered(_ id: Int64, in transaction: SQLTransaction) throws -> LogRow? {
        let statement = try transaction.statement("SELECT \(columns) WHERE id = ? AND name IS NOT NULL")
        statement.bind(id, at: 1)
        return try statement.first(LogRow.init)
    }

    /// The log of that name; throws `notFound` where there is none.
    static func required(_ name: String, in transaction: SQLTransaction) throws -> LogRow {
        guard let row = try named(name, in: transaction) else {
            throw BrokerError(.notFound, "there is no log \(name)")
        }
        return row
    }

    private init(_ row: SQLStatement) {
        self.id = row.integer(0)
        self.maximumBytes = row.optionalInteger(1)
        self.first = row.integer(2)
        self.next = row.integer(3)
        self.bytes = row.integer(4)
    }
}
