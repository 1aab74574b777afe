import SheafBroker
import SheafCore

extension SQLTransaction {
    /// Makes a queue, or checks that the one of that name is equal.
    func declare(_ declaration: QueueDeclaration) throws {
        if let row = try QueueRow.named(declaration.name, in: self) {
            guard row.deliveryLimit == declaration.deliveryLimit.map(Int64.init),
                row.deadLetter == declaration.deadLetter, row.lifetime == declaration.lifetime?.milliseconds
            else {
                throw BrokerError(
                    .mismatch,
                    "queue \(declaration.name) exists with other limits, times or dead letters"
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

    /// Puts messages at the end of the queue of that name.
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

    /// Keeps a message for the queue of that name until `due`, by the clock of the file.
    func publish(_ message: Message, to name: String, due: Int64) throws {
        let queue = try QueueRow.required(name, in: self)
        guard queue.acceptsDelayed else {
            throw BrokerError(.invalidArgument, "queue \(name) was not declared to accept delayed messages")
        }
        try delay(message, for: queue, until: due)
    }

    /// Puts delayed messages that are due at the end of their queue, and returns the queue as it is then.
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

    /// How many messages wait and how many consumers there are, or nil where there is no such queue.
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

    /// Forgets what waits in the queue of that name; returns how many messages and the places to clean up.
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

    /// Removes some of the messages with these keys; true while there may be more.
    func removeMessages(_ keys: ClosedRange<Int64>) throws -> Bool {
        let removed = try run(
            "DELETE FROM message WHERE key IN (SELECT key FROM message WHERE key BETWEEN ? AND ? LIMIT ?)",
            keys.lowerBound,
            keys.upperBound,
            Self.removedAtOnce
        )
        return removed == Self.removedAtOnce
    }

    /// Takes the name from a queue, which is its end for everybody; returns its number for the cleaning up.
    func unname(queue name: String) throws -> Int64? {
        guard let queue = try QueueRow.named(name, in: self) else { return nil }
        try run("UPDATE queue SET name = NULL WHERE id = ?", queue.id)
        return queue.id
    }

    /// Removes some of what belongs to a queue without a name; true while there is more.
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

    /// How many rows one transaction removes, so that others are not kept waiting.
    static let removedAtOnce: Int64 = 20_000
}
