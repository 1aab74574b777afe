import SheafBroker

/// A queue as it stands in its table.
struct QueueRow {
    /// Its number, never used twice.
    let id: Int64
    /// How often a message may come back, or nil.
    let deliveryLimit: Int64?
    /// Where messages go that came back too often.
    let deadLetter: QueueDeclaration.DeadLetterTarget?
    /// Whether delayed messages may wait for it.
    let acceptsDelayed: Bool
    /// The place of the first message that was never delivered.
    let head: Int64
    /// The place of the next message to come.
    let next: Int64
    /// The name.
    let name: String
    /// How many milliseconds messages wait here on their way to the dead letters, or nil where they stay.
    let lifetime: Int64?

    private static let columns =
        "id, delivery_limit, dead_queue, dead_log, accepts_delayed, head, next, name, lifetime FROM queue"

    /// The queue of that name, or nil.
    static func named(_ name: String, in transaction: SQLTransaction) throws -> QueueRow? {
        let statement = try transaction.statement("SELECT \(columns) WHERE name = ?")
        statement.bind(name, at: 1)
        return try statement.first(QueueRow.init)
    }

    /// The queue of that number, or nil when it was deleted.
    static func numbered(_ id: Int64, in transaction: SQLTransaction) throws -> QueueRow? {
        let statement = try transaction.statement("SELECT \(columns) WHERE id = ? AND name IS NOT NULL")
        statement.bind(id, at: 1)
        return try statement.first(QueueRow.init)
    }

    /// The queue of that name; throws `notFound` where there is none.
    static func required(_ name: String, in transaction: SQLTransaction) throws -> QueueRow {
        guard let row = try named(name, in: transaction) else {
            throw BrokerError(.notFound, "there is no queue \(name)")
        }
        return row
    }

    private init(_ row: SQLStatement) {
        self.id = row.integer(0)
        self.deliveryLimit = row.optionalInteger(1)
        self.deadLetter = row.optionalText(2).map { .queue($0) } ?? row.optionalText(3).map { .log($0) }
        self.acceptsDelayed = row.integer(4) != 0
        self.head = row.integer(5)
        self.next = row.integer(6)
        self.name = row.text(7)
        self.lifetime = row.optionalInteger(8)
    }
}
