import SheafBroker
import SheafCore

extension SQLTransaction {
    /// The most entries, and about the most bytes, that one reading hands out.
    private static let (readAtOnce, bytesAtOnce): (Int64, Int) = (1_000, 8 << 20)

    /// Makes a log where there is none of that name.
    func declare(_ declaration: LogDeclaration) throws {
        // An INSERT would write even where it does nothing, and so fail on a full disk.
        guard try LogRow.named(declaration.name, in: self) == nil else { return }
        let statement = try statement("INSERT INTO log (name, maximum_bytes) VALUES (?, ?)")
        statement.bind(declaration.name, at: 1)
        statement.bind(declaration.maximumBytes.map(Int64.init), at: 2)
        try statement.run()
    }

    /// Appends messages, and removes the oldest entries where the log has grown too large.
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
        try clock.noteNowAndThen(in: self)
    }

    /// Removes the oldest entries, never the newest; returns the new first offset and size.
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

    /// The offset where reading from a position begins, and the log's number.
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

    /// The first entry that is not older; entries lie in the order of their times.
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

    /// Entries from an offset on; empty where there are none yet, nil when the log was deleted.
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

    /// Takes the name from a log, which is its end for everybody; returns its number for the cleaning up.
    func unname(log name: String) throws -> Int64? {
        guard let log = try LogRow.named(name, in: self) else { return nil }
        try run("UPDATE log SET name = NULL WHERE id = ?", log.id)
        return log.id
    }

    /// Removes some of the entries of a log without a name; true while there are more.
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

extension Duration {
    /// Whole milliseconds, rounded up; as many as there can be where the duration is longer.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, isTooLong) = seconds.multipliedReportingOverflow(by: 1_000)
        guard !isTooLong, product.magnitude < UInt64(Int64.max / 4) else { return seconds < 0 ? .min / 4 : .max / 4 }
        return product + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    }
}
