import SheafBroker
import SheafCore

/// The folded results of a batch, up to its end or up to now.
struct FoldedResults {
    /// The fold.
    let state: BatchState
    /// The tasks that get the outcome of another one.
    let twins: Twins
    /// The tasks that wait for another attempt, with the longest delay of each.
    let delays: [Int: Duration]
    private let client: SheafClient
    private let batch: BatchInfo
    private let end: Int64

    /// Folds the results of a batch; throws `notFound` if its log is gone.
    init(of batch: BatchInfo, client: SheafClient) async throws {
        let log = client.names.results(batch: batch.id)
        var end = batch.ending?.endOffset
        if end == nil { end = try await retrying(for: .seconds(15)) { try await client.broker.endOffset(of: log) } }
        guard let end else { throw BatchResults.gone(batch.id) }
        var state = BatchState()
        state.apply(batch)
        var delays: [Int: Duration] = [:]
        var twins = Twins()
        try await Self.read(batch.id, upTo: end, client) { message in
            let event = ResultEvent(message)
            state.apply(event)
            if case .twins(let list) = event { for twin in list { twins.add(twin) } }
            if case .delayed(let index, let generation, let delay) = event, generation == state.generation(of: index) {
                delays[index] = delay
            }
        }
        self.state = state
        self.twins = twins
        self.delays = delays.filter { !state.isSettled($0.key) }
        self.client = client
        self.batch = batch
        self.end = end
    }

    /// How many tasks have failed, with the twins that will fail because their first has.
    var policyFailures: Int {
        var count = state.settled.policyFailures
        twins.forEach { twin, first in
            if state.standing(of: first) == .failed, !state.isSettled(twin) { count += 1 }
        }
        return count
    }

    /// Reads the log again and passes on the failed outcomes that count, without those of unreadable records.
    func standingFailures(_ body: (Outcome) async throws -> Void) async throws {
        var fold = BatchState()
        fold.apply(batch)
        try await Self.read(batch.id, upTo: end, client) { message in
            let event = ResultEvent(message)
            guard case .outcomes(let summaries, _) = event else { return fold.apply(event) }
            var standing: Set<Int> = []
            for summary in summaries where fold.apply(summary) {
                if summary.status == .failed, !summary.isInvalidRecord, isOfNow(summary.index, summary.generation) {
                    standing.insert(summary.index)
                }
            }
            if standing.isEmpty { return }
            for outcome in ResultMessage.outcomes(of: message) where outcome.status == .failed {
                if isOfNow(outcome.index, outcome.generation), standing.remove(outcome.index) != nil {
                    try await body(outcome)
                }
            }
        }
    }

    /// Reads the log again and passes on all failed outcomes that carry a record.
    func failuresWithRecord(_ body: (Outcome) async throws -> Void) async throws {
        try await Self.read(batch.id, upTo: end, client) { message in
            let (summaries, _) = ResultMessage.summaries(of: message)
            guard summaries.contains(where: { $0.status == .failed }) else { return }
            for outcome in ResultMessage.outcomes(of: message) where outcome.record != nil { try await body(outcome) }
        }
    }

    /// Whether a generation is the latest one of a task.
    private func isOfNow(_ index: Int, _ generation: Int) -> Bool { state.generation(of: index) == generation }

    private static func read(
        _ batch: Name,
        upTo end: Int64,
        _ client: SheafClient,
        _ body: (Message) async throws -> Void
    ) async throws {
        do {
            try await client.broker.entries(of: client.names.results(batch: batch), from: .first, upTo: end) { entry in
                try await body(entry.message)
            }
        } catch let error as BrokerError {
            guard error.code == .notFound || error.code == .queueGone else { throw error }
            throw BatchResults.gone(batch)
        }
    }
}
