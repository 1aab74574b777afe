/// All batches, as the pure fold of the journal.
public struct JournalState: Sendable, Equatable {
    /// The batches, oldest first.
    public private(set) var order: [Name] = []
    private var records: [Name: BatchInfo] = [:]
    private var deleted: Set<Name> = []

    /// Makes the state of an empty journal.
    public init() {}

    /// What is known of a batch.
    public subscript(_ batch: Name) -> BatchInfo? { records[batch] }

    /// All batches, oldest first.
    public var batches: [BatchInfo] { order.compactMap { records[$0] } }

    /// Whether there was a batch of that id that somebody has deleted; its name is not used again.
    public func isDeleted(_ batch: Name) -> Bool { deleted.contains(batch) }

    /// The newest batch.
    public var last: BatchInfo? { order.last.flatMap { records[$0] } }

    /// Applies an entry and returns whether anything changed; entries of a batch that was never created change nothing, but
    /// that it was deleted.
    @discardableResult
    public mutating func apply(_ entry: JournalEntry) -> Bool {
        if case .created(let options, let source, let nonce, let input) = entry.event {
            guard records[entry.batch] == nil, !isDeleted(entry.batch) else { return false }
            order.append(entry.batch)
            records[entry.batch] = BatchInfo(
                id: entry.batch,
                flow: entry.flow,
                options: options,
                source: source,
                input: input,
                nonce: nonce,
                createdAt: entry.at
            )
            return true
        }
        if entry.event == .deleted {
            if records.removeValue(forKey: entry.batch) != nil { order.removeAll { $0 == entry.batch } }
            return deleted.insert(entry.batch).inserted
        }
        guard var record = records[entry.batch] else { return false }
        let before = record
        record.apply(entry)
        records[entry.batch] = record
        return record != before
    }
}
