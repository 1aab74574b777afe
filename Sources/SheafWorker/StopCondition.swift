import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// Decides when a worker takes no more tasks.
struct StopCondition: Sendable {
    let client: SheafClient
    let configuration: WorkerConfiguration
    let journal: Journal
    let state: WorkerState
    let fetcher: TaskFetcher

    private static let tick = Duration.milliseconds(100)
    /// How long nothing must come before tasks are looked for that the broker has lost, and how often.
    private static let lossPatience = Duration.seconds(5)

    /// Returns when the worker is to leave.
    func reach() async throws {
        let deadline = configuration.maxTime.map { ContinuousClock.now + $0 }
        var lookedForLost = ContinuousClock.now
        var interruptions = LastingInterruptions()
        while !state.isLeaving {
            if let deadline, .now >= deadline { return }
            if let patience = configuration.idleTimeout, state.idleTime >= patience { return }
            if await fetcher.remaining == 0, state.heldCount == 0 { return }
            if configuration.untilEmpty, state.heldCount == 0 {
                do {
                    if try await isEverythingDone(&interruptions) { return }
                    if state.idleTime >= Self.lossPatience, .now - lookedForLost >= Self.lossPatience {
                        lookedForLost = .now
                        if try await isTheRestLost() { return }
                    }
                } catch let error as BrokerError where error.isRetryable || error.code == .notFound {
                    client.logger.warning("the worker waits for the broker: \(error)")
                }
            }
            try await Task.sleep(for: Self.tick)
        }
    }

    /// The batches it may run that have not ended.
    private var open: [BatchInfo] {
        let flows = Set(configuration.flows.map(\.name))
        return journal.state.batches.filter { record in
            record.ending == nil && flows.contains(record.flow) && configuration.batch.map { $0 == record.id } != false
        }
    }

    /// Whether of every batch it may run only tasks are left that the broker has lost.
    private func isTheRestLost() async throws -> Bool {
        try await journal.catchUp()
        let open = Set(self.open.filter(\.isRunnable).map(\.id))
        let summaries = try await BatchReader(client: client).summaries(in: journal) { open.contains($0.id) }
        guard summaries.allSatisfy({ $0.missing > 0 }) else { return false }
        state.note { $0.missing = summaries.map(\.record.id) }
        return true
    }

    /// Whether every batch it may run is finished, or does not go on by itself.
    private func isEverythingDone(_ interruptions: inout LastingInterruptions) async throws -> Bool {
        var interrupted: [Name] = []
        for record in open {
            if record.cancelled == nil, record.isPaused || record.stopped != nil { continue }
            guard record.cancelled == nil else { return false }
            let isInterrupted = try await BatchReader(client: client).isInterrupted(record.id, journal)
            guard interruptions.note(record.id, isInterrupted: isInterrupted) else { return false }
            for generation in record.generations {
                let queue = client.names.tasks(flow: record.flow, batch: record.id, generation: generation)
                if let status = try await client.broker.queueStatus(queue), status.ready > 0 { return false }
            }
            interrupted.append(record.id)
        }
        state.note { $0.interrupted = interrupted }
        return true
    }
}
