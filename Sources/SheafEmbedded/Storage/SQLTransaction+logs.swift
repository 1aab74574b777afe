import SheafBroker
import SheafCore

extension SQLTransaction {
    /// The maximum number of entries, and the approximate maximum of bytes, that one read returns.
    private static let (readAtOnce, bytesAtOnce): (Int64, Int) = (1_000, 8 << 20)

    /// Creates a log if none of that name exists.
    func declare(_ declaration: LogDeclaration) throws {
        // An INSERT would write even if it changes nothing, and so fail on a full disk.
        guard try LogRow.named(declaration.name, in: self) == nil else { return }
        let statement = try statement("INSERT INTO log (name, maximum_bytes) VALUES (?, ?)")
        statement.bind(declaration.name, at: 1)
        statement.bind(declaration.maximumBytes.map(Int64.init), at: 2)
        try statement.run()
    }

    /// Appends messages, and deletes the oldest entries if the log has become too large.
    func append(_ messages: [Message], to log: LogRow) throws {
        let insert = try statement("INSERT INTO entry (key, time, \(MessageColumns.list)) VALUES (?, ?, ?, ?, ?, ?, ?)")
        let now = clock.now
        var (next, bytes) = (log.next, log.bytes)
        for message in messages {
            insert.bind(Place.key(log.id, next), at: 1)
            insert.bind(now, at: 2)
            try MessageColumns.run(insert, with: message, from: 3)
            next += 1
            bytes += MessageColumns.size(of: message)
        }
        var first = log.first
        if let maximum = log.maximumBytes, bytes > maximum {
            (first, bytes) = try trim(log.id, first: first, next: next, bytes: bytes, to: maximum)
        }
        try run("UPDATE log SET first = ?, next = ?, bytes = ? WHERE id = ?", first, next, bytes, log.id)
        try clock.noteOccasionally(in: self)
    }

    /// Deletes the oldest entries, never the newest; returns the new first offset and size.
    private func trim(
        _ log: Int64,
        first: Int64,
        next: Int64,
        bytes: Int64,
        to maximum: Int64
    ) throws -> (first: Int64, bytes: Int64) {
        var (first, bytes) = (first, bytes)
        let select = try statement("SELECT \(MessageColumns.list) FROM entry WHERE key = ?")
        while bytes > maximum, first < next - 1 {
            select.bind(Place.key(log, first), at: 1)
            if let size = try select.first({ try MessageColumns.size(of: MessageColumns.read($0, from: 0)) }) {
                bytes -= size
            }
            try run("DELETE FROM entry WHERE key = ?", Place.key(log, first))
            first += 1
        }
        return (first, bytes)
    }

    /// Returns the log's number and the offset at which reading from a position begins.
    func start(of name: String, from position: LogPosition) throws -> (log: Int64, offset: Int64) {
        let log = try LogRow.required(name, in: self)
        let offset =
            switch position {
            case .first: log.first
            case .offset(let offset): min(max(offset, 0), Place.largest)
            case .last: max(log.next - 1, log.first)
            case .next: log.next
            case .since(let duration): try oldest(of: log, notBefore: clock.now - duration.milliseconds)
            }
        return (log.id, offset)
    }

    /// Returns the offset of the first entry at or after a time; entries are in the order of their times.
    private func oldest(of log: LogRow, notBefore time: Int64) throws -> Int64 {
        let select = try statement("SELECT time FROM entry WHERE key = ?")
        var (low, high) = (log.first, log.next)
        while low < high {
            let middle = (low + high) / 2
            select.bind(Place.key(log.id, middle), at: 1)
            if let found = try select.first({ $0.integer(0) }), found >= time {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return low
    }

    /// Returns entries starting at an offset, none if there are none yet; returns nil if the log was deleted.
    func entries(of log: Int64, from offset: Int64) throws -> LogChunk? {
        guard try LogRow.numbered(log, in: self) != nil else { return nil }
        let select = try statement(
            "SELECT key, time, \(MessageColumns.list) FROM entry WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?"
        )
        select.bind(Place.key(log, offset), at: 1)
        select.bind(Place.last(log), at: 2)
        select.bind(Self.readAtOnce, at: 3)
        defer { select.reset() }
        let lag = clock.behindWall
        var entries: [LogEntry] = []
        var (next, bytes) = (offset, 0)
        while bytes < Self.bytesAtOnce, try select.step() {
            let found = Place.place(of: select.integer(0))
            let message = try MessageColumns.read(select, from: 2)
            bytes += message.body.count
            next = found + 1
            if message.type == Message.markType { continue }
            let time = Timestamp(milliseconds: select.integer(1) + lag)
            entries.append(LogEntry(offset: found, message: message, time: time))
        }
        return LogChunk(entries: entries, nextOffset: next)
    }

    /// Removes the name of a log, which deletes it for all users; returns its number for the later cleanup.
    func unname(log name: String) throws -> Int64? {
        guard let log = try LogRow.named(name, in: self) else { return nil }
        try run("UPDATE log SET name = NULL WHERE id = ?", log.id)
        return log.id
    }

    /// Deletes a portion of the entries of a log without a name; returns true if there are more.
    func removeLog(_ id: Int64) throws -> Bool {
        let removed = try run(
            "DELETE FROM entry WHERE key IN (SELECT key FROM entry WHERE key BETWEEN ? AND ? LIMIT ?)",
            Place.first(id),
            Place.last(id),
            Self.removedAtOnce
        )
        if removed == Self.removedAtOnce { return true }
        try run("DELETE FROM log WHERE id = ? AND name IS NULL", id)
        return false
    }
}

/// A row of the table of logs.
struct LogRow {
    /// Its number, which is never reused.
    let id: Int64
    /// The size in bytes above which the oldest entries are deleted, or nil if there is no limit.
    let maximumBytes: Int64?
    /// The offset of the oldest entry.
    let first: Int64
    /// The offset of the next entry to be appended.
    let next: Int64
    /// The approximate size of its entries in bytes.
    let bytes: Int64

    private static let columns = "id, maximum_bytes, first, next, bytes FROM log"

    /// Returns the log of that name, or nil if it does not exist.
    static func named(_ name: String, in transaction: SQLTransaction) throws -> LogRow? {
        let statement = try transaction.statement("SELECT \(columns) WHERE name = ?")
        statement.bind(name, at: 1)
        return try statement.first(LogRow.init)
    }

    /// Returns the log with that number, or nil if it was deleted.
    static func numbered(_ id: Int64, in transaction: SQLTransaction) throws -> LogRow? {
        let statement = try transaction.statement("SELECT \(columns) WHERE id = ? AND name IS NOT NULL")
        statement.bind(id, at: 1)
        return try statement.first(LogRow.init)
    }

    /// Returns the log of that name; throws `notFound` if it does not exist.
    static func required(_ name: String, in transaction: SQLTransaction) throws -> LogRow {
        guard let row = try named(name, in: transaction) else {
            throw BrokerError(.notFound, "log \(name) does not exist")
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
