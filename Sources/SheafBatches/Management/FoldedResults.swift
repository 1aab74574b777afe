import SheafBroker
import SheafCore

/// What the results of a batch amount to, up to its end or up to now.
struct FoldedResults {
    /// The fold.
    let state: BatchState
    /// Tasks that wait for another attempt, and how long at most.
    let delays: [Int: Duration]
    private let client: SheafClient
    private let record: BatchInfo
    private let end: Int64

    /// Folds the results of a batch; throws `notFound` where its log is gone.
    init(of record: BatchInfo, client: SheafClient) async throws {
        let log = client.names.results(batch: record.id)
        var end = record.ending?.endOffset
        if end == nil { end = try await retrying(for: .seconds(15)) { try await client.broker.endOffset(of: log) } }
        guard let end else { throw BatchResults.gone(record.id) }
        var state = BatchState()
        state.apply(record)
        var delays: [Int: Duration] = [:]
        try await Self.read(record.id, upTo: end, client) { message in
            let event = ResultEvent(message)
            state.apply(event)
            if case .delayed(let index, let generation, let delay) = event, generation == state.generation(of: index) {
                delays[index] = delay
            }
        }
        self.state = state
        self.delays = delays.filter { !state.isSettled($0.key) }
        self.client = client
        self.record = record
        self.end = end
    }

    /// Reads the log again and hands out the failed outcomes that stand, unreadable records left out.
    func standingFailures(_ body: (Outcome) async throws -> Void) async throws {
        var fold = BatchState()
        fold.apply(record)
        try await Self.read(record.id, upTo: end, client) { message in
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

    /// Reads the log again and hands out all failed outcomes that carry a record.
    func failuresWithRecord(_ body: (Outcome) async throws -> Void) async throws {
        try await Self.read(record.id, upTo: end, client) { message in
            let (summaries, _) = ResultMessage.summaries(of: message)
            guard summaries.contains(where: { $0.status == .failed }) else { return }
            for outcome in ResultMessage.outcomes(of: message) where outcome.record != nil { try await body(outcome) }
        }
    }

    /// Whether a generation is that for which the task was opened last.
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
