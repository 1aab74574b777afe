import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// Decides when a worker stops taking tasks.
struct StopCondition: Sendable {
    private let client: SheafClient
    private let configuration: WorkerConfiguration
    private let journal: Journal
    private let ledger: SharedTaskLedger
    private let lifecycle: WorkerLifecycle
    private let scope: FetchScope

    init(_ context: WorkerContext, scope: FetchScope) {
        self.client = context.client
        self.configuration = context.configuration
        self.journal = context.journal
        self.ledger = context.ledger
        self.lifecycle = context.lifecycle
        self.scope = scope
    }

    /// Returns when the worker has to leave.
    func reach() async throws {
        let deadline = configuration.maxTime.map { ContinuousClock.now + $0 }
        var lookedForLost = ContinuousClock.now
        var interruptions = LastingInterruptions()
        while !lifecycle.isLeaving {
            if let deadline, .now >= deadline { return }
            if let patience = configuration.idleTimeout, ledger.idleTime >= patience { return }
            if scope.isSpent, ledger.count == 0 { return }
            if configuration.untilEmpty, ledger.count == 0 {
                do {
                    if try await isEverythingDone(&interruptions) { return }
                    let patience = configuration.timing.lossPatience
                    if ledger.idleTime >= patience, .now - lookedForLost >= patience {
                        lookedForLost = .now
                        if try await isTheRestLost() { return }
                    }
                } catch let error as BrokerError where error.isRetryable || error.code == .notFound {
                    // A batch may be deleted while it is being looked at.
                    client.logger.warning("the worker waits for the broker: \(error)")
                }
            }
            try await Task.sleep(for: configuration.timing.stopInterval)
        }
    }

    /// The batches that the worker may run and that have not ended.
    private var open: [BatchInfo] {
        let flows = Set(configuration.flows.map(\.name))
        return journal.state.batches.filter { info in
            info.ending == nil && flows.contains(info.flow) && configuration.batch.map { $0 == info.id } != false
        }
    }

    /// Whether the broker has lost all unfinished tasks of every batch that the worker may run.
    private func isTheRestLost() async throws -> Bool {
        try await journal.catchUp()
        let open = Set(self.open.filter(\.isRunnable).map(\.id))
        let summaries = try await BatchReader(client: client).summaries(in: journal) { open.contains($0.id) }
        guard summaries.allSatisfy({ $0.missing > 0 }) else { return false }
        lifecycle.note { $0.missing = summaries.map(\.info.id) }
        return true
    }

    /// Whether every batch that the worker may run is finished, or cannot continue by itself.
    private func isEverythingDone(_ interruptions: inout LastingInterruptions) async throws -> Bool {
        var interrupted: [Name] = []
        for info in open {
            if info.cancelled == nil, info.isPaused || info.stopped != nil { continue }
            guard info.cancelled == nil else { return false }
            let isInterrupted = try await BatchReader(client: client).isInterrupted(info.id, journal)
            guard interruptions.note(info.id, isInterrupted: isInterrupted) else { return false }
            for generation in info.generations {
                let queue = client.names.tasks(flow: info.flow, batch: info.id, generation: generation)
                if let status = try await client.broker.queueStatus(queue), status.ready > 0 { return false }
            }
            interrupted.append(info.id)
        }
        lifecycle.note { $0.interrupted = interrupted }
        return true
    }
}
