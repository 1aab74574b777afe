/// The state of all batches: the pure fold of the journal.
package struct JournalState: Sendable, Equatable {
    /// The ids of the batches, oldest first.
    package private(set) var order: [Name] = []
    private var infos: [Name: BatchInfo] = [:]
    private var deleted: Set<Name> = []

    package init() {}

    /// The batch with that id, or nil if it is unknown or deleted.
    package subscript(_ batch: Name) -> BatchInfo? { infos[batch] }

    /// All batches, oldest first.
    package var batches: [BatchInfo] { order.compactMap { infos[$0] } }

    /// Returns whether a batch with that id was deleted; its id is never used again.
    package func isDeleted(_ batch: Name) -> Bool { deleted.contains(batch) }

    /// The newest batch.
    package var last: BatchInfo? { order.last.flatMap { infos[$0] } }

    /// Applies an entry and returns whether it changed the state.
    ///
    /// Of the entries about a batch that was never created, only its deletion has an effect.
    @discardableResult
    package mutating func apply(_ entry: JournalEntry) -> Bool {
        if case .created(let options, let source, let nonce, let input) = entry.event {
            guard infos[entry.batch] == nil, !isDeleted(entry.batch) else { return false }
            order.append(entry.batch)
            infos[entry.batch] = BatchInfo(
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
            if infos.removeValue(forKey: entry.batch) != nil { order.removeAll { $0 == entry.batch } }
            return deleted.insert(entry.batch).inserted
        }
        guard var info = infos[entry.batch] else { return false }
        let before = info
        info.apply(entry)
        infos[entry.batch] = info
        return info != before
    }
}
