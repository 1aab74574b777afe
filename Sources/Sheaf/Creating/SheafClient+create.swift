public import SheafCore
public import SheafSources

extension SheafClient {
    /// Publishes a batch: one task for each item and variant of its parameters; returns when all are confirmed.
    ///
    /// An item that is no record becomes a failed outcome. Throws `invalid` where there is no item at all (and leaves no batch
    /// behind), `alreadyExists`, `cancelled` where somebody cancels it meanwhile, and what the items or the broker throw.
    /// `onCreated` is told the batch's id once it exists, `onConfirmed` how many of its tasks are confirmed, as that grows.
    @discardableResult
    public func create<Items: AsyncSequence>(
        _ plan: BatchPlan,
        from items: Items,
        onCreated: @escaping @Sendable (Name) -> Void = { _ in },
        onConfirmed: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws -> CreatedBatch where Items.Element == [SourceItem] {
        try await BatchCreator(client: self, plan: plan, onCreated: onCreated, onConfirmed: onConfirmed).run(items)
    }

    /// Publishes a batch from any sequence of records.
    @discardableResult
    public func create<Records: AsyncSequence>(
        _ plan: BatchPlan,
        records: Records
    ) async throws -> CreatedBatch where Records.Element == Record {
        try await create(plan, from: RecordItems(records: records))
    }
}

/// Numbers records and gathers them into chunks.
struct RecordItems<Records: AsyncSequence>: AsyncSequence where Records.Element == Record {
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
