import SheafBroker
package import SheafCore

/// Reads what the results log of a batch has of a bulk, for the worker that holds the bulk or takes it over.
///
/// The log decides which worker holds which tasks. So a worker reads its own entries back before it relies on them.
package struct BulkReader: Sendable {
    private let client: SheafClient
    private let journal: Journal
    private let batch: Name
    // Folds from the newest checkpoint, and later only what is new.
    private let folder: Aggregator

    package init(client: SheafClient, journal: Journal, batch: Name) async throws {
        self.client = client
        self.journal = journal
        self.batch = batch
        folder = Aggregator(client: client, journal: journal)
        try await folder.inheritProgress()
    }

    private var log: String { client.names.results(batch: batch) }

    /// The state of the batch as of now.
    package func state() async throws -> BatchState {
        try await folder.catchUp(batch)
        var state = await folder.fold(of: batch)?.state ?? BatchState()
        if let info = journal[batch] { state.apply(info) }
        return state
    }

    /// The newest memo of a bulk; nil if it has none.
    package func memo(of bulk: Bulks.Bulk) async throws -> [UInt8]? {
        guard let offset = bulk.memo else { return nil }
        var memo: [UInt8]?
        try await read([offset]) { memo = $0.message.body }
        return memo
    }

    /// The tasks of a bulk that have no outcome, with their leases.
    package func tasks(of bulk: Bulks.Bulk, in state: BatchState) async throws -> [(lease: TaskLease, task: BatchTask)]
    {
        let leases = bulk.tasks.compactMap { state.leases[$0] }
            .filter { $0.generation == state.generation(of: $0.index) }
        let byOffset = Dictionary(leases.map { ($0.offset, $0) }, uniquingKeysWith: { $1 })
        var tasks: [(lease: TaskLease, task: BatchTask)] = []
        try await read(byOffset.keys.sorted()) { entry in
            if let lease = byOffset[entry.offset], let task = TaskLease.task(of: entry.message) {
                tasks.append((lease, task))
            }
        }
        return tasks
    }

    /// Reads the entries at some offsets, in order.
    private func read(_ offsets: [Int64], _ body: (LogEntry) -> Void) async throws {
        guard let first = offsets.first, let last = offsets.last else { return }
        let wanted = Set(offsets)
        try await client.broker.entries(of: log, from: .offset(first), upTo: last + 1) { entry in
            if wanted.contains(entry.offset) { body(entry) }
        }
    }
}
