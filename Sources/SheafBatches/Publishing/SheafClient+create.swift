public import SheafCore
public import SheafSources

extension SheafClient {
    /// Publishes a batch: one task for each item and variant of its parameters; returns when all are confirmed.
    ///
    /// An item that is no record becomes a failed outcome. Throws `invalid` where there is no item at all (and leaves no batch
    /// behind), `alreadyExists`, `cancelled` where somebody cancels it meanwhile, and what the items or the broker throw.
    /// While the broker confirms nothing it waits, at most as long as the plan says, and throws the broker's reason then;
    /// what was published stays, and ``resume(_:publishTimeout:comparing:events:from:)`` goes on.
    @discardableResult
    public func create<Items: AsyncSequence & Sendable>(
        _ plan: BatchPlan,
        from items: Items,
        events: CreationEvents = CreationEvents()
    ) async throws -> CreatedBatch where Items.Element == [SourceItem] {
        try await BatchCreator(client: self, publishTimeout: plan.publishTimeout, events: events).create(plan, items)
    }

    /// Publishes the rest of a batch whose creator was interrupted; returns when all of its tasks are confirmed.
    ///
    /// `items` is asked for the items of the same input from a position on, in the same order: the first one not known to be
    /// confirmed. Up to 12,000 tasks before that point may be published twice. With `comparing`, for a stream that can only be read
    /// from its beginning, it is asked for all of them, and those before the position are compared with what the journal
    /// says of them. Returns at once where all tasks are published. Throws `alreadyExists` where somebody else publishes the
    /// batch, `cancelled`, `alreadyFinished`, `notFound`, a ``SourceError`` with the code `changed` where a stream is not
    /// what it was, and what creating throws.
    @discardableResult
    public func resume<Items: AsyncSequence & Sendable>(
        _ batch: Name,
        publishTimeout: Duration = .seconds(60),
        comparing: Bool = false,
        events: CreationEvents = CreationEvents(),
        from items: @escaping @Sendable (Int) async throws -> Items
    ) async throws -> CreatedBatch where Items.Element == [SourceItem] {
        try await BatchCreator(client: self, publishTimeout: publishTimeout, events: events)
            .resume(batch, comparing: comparing, items)
    }

    /// What the journal says of a batch (or of the newest, for `last`) that is to be resumed.
    ///
    /// Throws `cancelled` or `alreadyFinished` where it can not be; a batch that is published in full has a `sealedTotal`.
    public func recordToResume(_ reference: String) async throws -> BatchInfo {
        let record = try await Journal.read(from: self).find(reference)
        try record.refuseResuming()
        return record
    }

    /// Publishes a batch from any sequence of records.
    @discardableResult
    public func create<Records: AsyncSequence & Sendable>(
        _ plan: BatchPlan,
        records: Records
    ) async throws -> CreatedBatch where Records.Element == Record {
        try await create(plan, from: RecordItems(records: records))
    }
}

extension BatchInfo {
    /// Throws where the batch is over, so that nothing more may be published of it.
    func refuseResuming() throws(SheafError) {
        if cancelled != nil {
            throw SheafError(.cancelled, "batch '\(id)' was cancelled; nothing more of it is published")
        }
        if sealedTotal == nil, ending != nil {
            throw SheafError(.alreadyFinished, "batch '\(id)' has ended; nothing more of it is published")
        }
    }
}

/// Numbers records and gathers them into chunks.
struct RecordItems<Records: AsyncSequence & Sendable>: AsyncSequence, Sendable where Records.Element == Record {
    let records: Records

    func makeAsyncIterator() -> Iterator { Iterator(records: records.makeAsyncIterator()) }

    struct Iterator: AsyncIteratorProtocol {
        var records: Records.AsyncIterator
        var index = 0

        mutating func next() async throws -> [SourceItem]? {
            try await next(isolation: #isolation)
        }

        mutating func next(isolation actor: isolated (any Actor)?) async throws -> [SourceItem]? {
            var chunk: [SourceItem] = []
            while chunk.count < 100, let record = try await records.next(isolation: actor) {
                chunk.append(SourceItem(index: index, place: record.id, content: .record(record)))
                index += 1
            }
            return chunk.isEmpty ? nil : chunk
        }
    }
}
