public import SheafCore
public import SheafSources

extension SheafClient {
    /// Creates a batch with one task for each item and parameter variant; returns when all tasks are confirmed.
    ///
    /// An item that is not a record becomes a failed outcome. If the broker confirms nothing for the plan's
    /// `publishTimeout`, the call throws the broker's reason; the tasks published so far stay, and
    /// ``resume(_:publishTimeout:comparing:trace:events:from:)`` publishes the rest.
    ///
    /// - Throws: ``SheafError`` with `invalid` if there are no items (no batch is created then), `alreadyExists`, or
    ///   `cancelled` if the batch is cancelled in the meantime; the errors of the items; `BrokerError`.
    @discardableResult
    public func create<Items: AsyncSequence & Sendable>(
        _ plan: BatchPlan,
        from items: Items,
        events: CreationEvents = CreationEvents()
    ) async throws -> CreatedBatch where Items.Element == [SourceItem] {
        try await BatchCreator(client: self, publishTimeout: plan.publishTimeout, events: events).create(plan, items)
    }

    /// Publishes the rest of a batch whose creator was interrupted; returns when all its tasks are confirmed.
    ///
    /// Returns at once if all tasks are published. Up to 12,000 tasks may be published twice.
    ///
    /// - Parameters:
    ///   - batch: The id of the batch.
    ///   - publishTimeout: How long the broker may confirm nothing before the call fails.
    ///   - comparing: For a stream that can only be read from its beginning: `items` is called for position 0, and the
    ///     items that were published before are compared with their digest in the journal.
    ///   - trace: The place in a trace that the tasks carry which are published now.
    ///   - events: Callbacks.
    ///   - items: Opens the same input, in the same order, from the given position on.
    /// - Throws: ``SheafError`` with `notFound`, `cancelled`, `alreadyFinished`, or `alreadyExists` if another process
    ///   publishes the batch; ``SourceError`` with `changed` if the stream is a different one; the errors of creating.
    @discardableResult
    public func resume<Items: AsyncSequence & Sendable>(
        _ batch: Name,
        publishTimeout: Duration = .seconds(60),
        comparing: Bool = false,
        trace: TraceContext? = nil,
        events: CreationEvents = CreationEvents(),
        from items: @escaping @Sendable (Int) async throws -> Items
    ) async throws -> CreatedBatch where Items.Element == [SourceItem] {
        try await BatchCreator(client: self, publishTimeout: publishTimeout, events: events)
            .resume(batch, comparing: comparing, trace: trace, items)
    }

    /// Finds a batch whose creation can be resumed, by its id, or the newest for `last`.
    ///
    /// A batch that is already published in full is returned too; it has a `sealedTotal`.
    ///
    /// - Throws: ``SheafError`` with `notFound`, or with `cancelled` or `alreadyFinished` if the creation cannot be
    ///   resumed.
    public func infoToResume(_ reference: String) async throws -> BatchInfo {
        let batch = try await Journal.read(from: self).find(reference)
        try batch.refuseResuming()
        return batch
    }

    /// Creates a batch from any sequence of records.
    @discardableResult
    public func create<Records: AsyncSequence & Sendable>(
        _ plan: BatchPlan,
        records: Records
    ) async throws -> CreatedBatch where Records.Element == Record {
        try await create(plan, from: RecordItems(records: records))
    }
}

extension BatchInfo {
    /// Throws if the batch is over, so that nothing more of it may be published.
    func refuseResuming() throws(SheafError) {
        if cancelled != nil {
            throw SheafError(.cancelled, "cannot resume the creation of batch '\(id)': the batch was cancelled")
        }
        if sealedTotal == nil, ending != nil {
            throw SheafError(.alreadyFinished, "cannot resume the creation of batch '\(id)': the batch has ended")
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
