import SheafBroker

/// What somebody waits for in the file.
enum WakeCondition: Sendable, Equatable {
    /// A message to deliver in the queue, or its end.
    case message(queue: Int64)
    /// The end of the queue.
    case end(queue: Int64)
    /// An entry of the log at this offset or behind it, or the log's end.
    case entry(log: Int64, offset: Int64)

    /// Whether it may come without anything being written.
    var dependsOnTime: Bool {
        if case .message = self { true } else { false }
    }

    /// Whether it has come.
    func holds(in transaction: SQLTransaction) throws -> Bool {
        switch self {
        case .message(let queue): try Self.hasMessage(queue, transaction)
        case .end(let queue): try QueueRow.numbered(queue, in: transaction) == nil
        case .entry(let log, let offset): try LogRow.numbered(log, in: transaction).map { $0.next > offset } ?? true
        }
    }

    /// Milliseconds until the next delayed message is due, less than 0 where it is.
    func timeToNext(in transaction: SQLTransaction) throws -> Int64? {
        guard case .message(let queue) = self else { return nil }
        let select = try transaction.statement("SELECT min(due) FROM delayed WHERE queue = ?")
        select.bind(queue, at: 1)
        return try select.first { $0.optionalInteger(0).map { $0 - transaction.clock.now } } ?? nil
    }

    private static func hasMessage(_ id: Int64, _ transaction: SQLTransaction) throws -> Bool {
        guard let queue = try QueueRow.numbered(id, in: transaction), queue.head >= queue.next else { return true }
        let returned = try transaction.statement("SELECT 1 FROM returned WHERE key BETWEEN ? AND ? LIMIT 1")
        returned.bind(Place.first(id), at: 1)
        returned.bind(Place.last(id), at: 2)
        if try returned.first({ _ in true }) != nil { return true }
        guard queue.acceptsDelayed else { return false }
        let due = try transaction.statement("SELECT 1 FROM delayed WHERE queue = ? AND due <= ? LIMIT 1")
        due.bind(id, at: 1)
        due.bind(transaction.clock.now, at: 2)
        return try due.first { _ in true } != nil
    }
}
