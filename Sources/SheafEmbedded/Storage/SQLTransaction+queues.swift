import SheafBroker
import SheafCore

extension SQLTransaction {
    /// Creates a queue, or checks that the existing queue of that name has the same properties.
    func declare(_ declaration: QueueDeclaration) throws {
        if let row = try QueueRow.named(declaration.name, in: self) {
            guard row.deliveryLimit == declaration.deliveryLimit.map(Int64.init),
                row.deadLetter == declaration.deadLetter, row.lifetime == declaration.lifetime?.milliseconds
            else {
                throw BrokerError(
                    .mismatch,
                    "queue \(declaration.name) exists with a different delivery limit, lifetime or dead-letter target"
                )
            }
            if declaration.acceptsDelayed, !row.acceptsDelayed {
                try run("UPDATE queue SET accepts_delayed = 1 WHERE id = ?", row.id)
            }
            return
        }
        let statement = try statement(
            """
            INSERT INTO queue (name, delivery_limit, dead_queue, dead_log, accepts_delayed, lifetime)
            VALUES (?, ?, ?, ?, ?, ?)
            """
        )
        let (queue, log): (String?, String?) =
            switch declaration.deadLetter {
            case .queue(let name): (name, nil)
            case .log(let name): (nil, name)
            case nil: (nil, nil)
            }
        statement.bind(declaration.name, at: 1)
        statement.bind(declaration.deliveryLimit.map(Int64.init), at: 2)
        statement.bind(queue, at: 3)
        statement.bind(log, at: 4)
        statement.bind(declaration.acceptsDelayed ? 1 : 0, at: 5)
        statement.bind(declaration.lifetime?.milliseconds, at: 6)
        try statement.run()
        if declaration.lifetime != nil, let queue {
            try run("UPDATE queue SET accepts_delayed = 1 WHERE id = ?", QueueRow.required(queue, in: self).id)
        }
    }

    /// Appends messages to the queue of that name.
    func publish(_ messages: [Message], to name: String) throws {
        let queue = try QueueRow.required(name, in: self)
        if let lifetime = queue.lifetime {
            for message in messages { try wait(message, for: lifetime, in: queue) }
            return
        }
        let insert = try statement("INSERT INTO message (key, \(MessageColumns.list)) VALUES (?, ?, ?, ?, ?, ?)")
        var next = queue.next
        for message in messages {
            insert.bind(Place.key(queue.id, next), at: 1)
            try MessageColumns.run(insert, with: message, from: 2)
            next += 1
        }
        try run("UPDATE queue SET next = ? WHERE id = ?", next, queue.id)
    }

    /// Delays a message for the queue of that name until `due`, by the clock of the file.
    func publish(_ message: Message, to name: String, due: Int64) throws {
        let queue = try QueueRow.required(name, in: self)
        guard queue.acceptsDelayed else {
            throw BrokerError(.invalidArgument, "queue \(name) was not declared to accept delayed messages")
        }
        try delay(message, for: queue, until: due)
    }

    /// Appends delayed messages that are due to their queue, and returns the updated queue.
    func promote(_ queue: QueueRow) throws -> QueueRow {
        guard queue.acceptsDelayed else { return queue }
        let now = clock.now
        let due = try statement(
            "SELECT number FROM delayed WHERE queue = ? AND due <= ? ORDER BY due, number LIMIT 1000"
        )
        due.bind(queue.id, at: 1)
        due.bind(now, at: 2)
        var numbers: [Int64] = []
        while try due.step() { numbers.append(due.integer(0)) }
        guard !numbers.isEmpty else { return queue }
        for (index, number) in numbers.enumerated() {
            let key = Place.key(queue.id, queue.next + Int64(index))
            try run(
                """
                INSERT INTO message (key, \(MessageColumns.all))
                SELECT ?, \(MessageColumns.all) FROM delayed WHERE number = ?
                """,
                key,
                number
            )
            try run("DELETE FROM delayed WHERE number = ?", number)
        }
        try run("UPDATE queue SET next = next + ? WHERE id = ?", Int64(numbers.count), queue.id)
        return try QueueRow.numbered(queue.id, in: self) ?? queue
    }

    /// Returns the number of ready messages and of consumers, or nil if the queue does not exist.
    func status(of name: String) throws -> QueueStatus? {
        guard let queue = try QueueRow.named(name, in: self) else { return nil }
        let due = try statement("SELECT count(*) FROM delayed WHERE queue = ? AND due <= ?")
        due.bind(queue.id, at: 1)
        due.bind(clock.now, at: 2)
        let consumers = try statement("SELECT count(*) FROM consumer WHERE queue = ?")
        consumers.bind(queue.id, at: 1)
        let ready = try queue.next - queue.head + returnedCount(queue) + (due.first { $0.integer(0) } ?? 0)
        return QueueStatus(ready: Int(ready), consumers: Int(try consumers.first { $0.integer(0) } ?? 0))
    }

    /// Purges the queue of that name; returns the number of messages and the keys that remain to be deleted.
    func purge(_ name: String) throws -> (count: Int, keys: ClosedRange<Int64>?) {
        let queue = try promote(try QueueRow.required(name, in: self))
        let returned = try returnedCount(queue)
        try run(
            "DELETE FROM message WHERE key IN (SELECT key FROM returned WHERE key BETWEEN ? AND ?)",
            Place.first(queue.id),
            Place.last(queue.id)
        )
        try run("DELETE FROM returned WHERE key BETWEEN ? AND ?", Place.first(queue.id), Place.last(queue.id))
        try run("UPDATE queue SET head = next WHERE id = ?", queue.id)
        guard queue.head < queue.next else { return (Int(returned), nil) }
        let keys = Place.key(queue.id, queue.head)...Place.key(queue.id, queue.next - 1)
        return (Int(queue.next - queue.head + returned), keys)
    }

    /// Deletes a portion of the messages with these keys; returns true if there may be more.
    func removeMessages(_ keys: ClosedRange<Int64>) throws -> Bool {
        let removed = try run(
            "DELETE FROM message WHERE key IN (SELECT key FROM message WHERE key BETWEEN ? AND ? LIMIT ?)",
            keys.lowerBound,
            keys.upperBound,
            Self.removedAtOnce
        )
        return removed == Self.removedAtOnce
    }

    /// Removes the name of a queue, which deletes it for all users; returns its number for the later cleanup.
    func unname(queue name: String) throws -> Int64? {
        guard let queue = try QueueRow.named(name, in: self) else { return nil }
        try run("UPDATE queue SET name = NULL WHERE id = ?", queue.id)
        return queue.id
    }

    /// Deletes a portion of the rows of a queue without a name; returns true if there are more.
    func removeQueue(_ id: Int64) throws -> Bool {
        if try removeMessages(Place.first(id)...Place.last(id)) { return true }
        try run("DELETE FROM returned WHERE key BETWEEN ? AND ?", Place.first(id), Place.last(id))
        try run("DELETE FROM leased WHERE key BETWEEN ? AND ?", Place.first(id), Place.last(id))
        try run("DELETE FROM delayed WHERE queue = ?", id)
        try run("DELETE FROM consumer WHERE queue = ?", id)
        try run("DELETE FROM queue WHERE id = ? AND name IS NULL", id)
        return false
    }

    private func returnedCount(_ queue: QueueRow) throws -> Int64 {
        let statement = try statement("SELECT count(*) FROM returned WHERE key BETWEEN ? AND ?")
        statement.bind(Place.first(queue.id), at: 1)
        statement.bind(Place.last(queue.id), at: 2)
        return try statement.first { $0.integer(0) } ?? 0
    }

    /// The maximum number of rows that one transaction deletes, so that others need not wait long.
    static let removedAtOnce: Int64 = 20_000
}

/// Waiting rooms: queues in which messages wait for a time before they go to another queue.
extension SQLTransaction {
    /// Delays a message for the target queue of a waiting room; nothing is stored in the room itself.
    func wait(_ message: Message, for lifetime: Int64, in room: QueueRow) throws {
        guard case .queue(let name) = room.deadLetter, let target = try QueueRow.named(name, in: self) else { return }
        // One more, because the current time lies within its millisecond.
        try delay(message, for: target, until: clock.now + lifetime + 1)
    }

    /// Delays a message for a queue until `due`, by the clock of the file.
    func delay(_ message: Message, for queue: QueueRow, until due: Int64) throws {
        let insert = try statement(
            "INSERT INTO delayed (queue, due, \(MessageColumns.list)) VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        insert.bind(queue.id, at: 1)
        insert.bind(due, at: 2)
        try MessageColumns.run(insert, with: message, from: 3)
        // After a restart of the machine the clock continues at this time or later, so the delay cannot grow.
        try clock.note(in: self)
    }
}

/// A row of the table of queues.
struct QueueRow {
    /// Its number, which is never reused.
    let id: Int64
    /// The maximum number of returns of a message, or nil if there is no limit.
    let deliveryLimit: Int64?
    /// The target of messages that were rejected or returned too often.
    let deadLetter: QueueDeclaration.DeadLetterTarget?
    /// Whether messages may be delayed for it.
    let acceptsDelayed: Bool
    /// The place of the first message that was never delivered.
    let head: Int64
    /// The place of the next message to be published.
    let next: Int64
    /// The name.
    let name: String
    /// The milliseconds that messages wait before they go to the dead-letter target, or nil if they stay.
    let lifetime: Int64?

    private static let columns =
        "id, delivery_limit, dead_queue, dead_log, accepts_delayed, head, next, name, lifetime FROM queue"

    /// Returns the queue of that name, or nil if it does not exist.
    static func named(_ name: String, in transaction: SQLTransaction) throws -> QueueRow? {
        let statement = try transaction.statement("SELECT \(columns) WHERE name = ?")
        statement.bind(name, at: 1)
        return try statement.first(QueueRow.init)
    }

    /// Returns the queue with that number, or nil if it was deleted.
    static func numbered(_ id: Int64, in transaction: SQLTransaction) throws -> QueueRow? {
        let statement = try transaction.statement("SELECT \(columns) WHERE id = ? AND name IS NOT NULL")
        statement.bind(id, at: 1)
        return try statement.first(QueueRow.init)
    }

    /// Returns the queue of that name; throws `notFound` if it does not exist.
    static func required(_ name: String, in transaction: SQLTransaction) throws -> QueueRow {
        guard let row = try named(name, in: transaction) else {
            throw BrokerError(.notFound, "queue \(name) does not exist")
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
