import Logging
import SheafBroker
import SheafCore
import SheafFlows

/// Decides when a worker takes no more tasks.
struct WorkerGoal: Sendable {
    let client: SheafClient
    let configuration: WorkerConfiguration
    let journal: Journal
    let state: WorkerState
    let fetcher: TaskFetcher

    private static let tick = Duration.milliseconds(100)

    /// Returns when the worker is to leave.
    func reach() async throws {
        let deadline = configuration.maxTime.map { ContinuousClock.now + $0 }
        while !state.isLeaving {
            if let deadline, .now >= deadline { return }
            if let patience = configuration.idleTimeout, state.idleTime >= patience { return }
            if await fetcher.remaining == 0, state.heldCount == 0 { return }
            if configuration.untilEmpty, state.heldCount == 0 {
                do {
                    if try await isEverythingDone() { return }
                } catch let error as BrokerError where error.isRetryable || error.code == .notFound {
                    client.logger.warning("the worker waits for the broker: \(error)")
                }
            }
            try await Task.sleep(for: Self.tick)
        }
    }

    /// Whether every batch it may run is finished, or does not go on by itself.
    private func isEverythingDone() async throws -> Bool {
        let flows = Set(configuration.flows.map(\.name))
        let mine = journal.batches.batches.filter { record in
            flows.contains(record.flow) && configuration.batch.map { $0 == record.id } != false
        }
        var interrupted: [Name] = []
        for record in mine where record.ending == nil {
            if record.cancelled == nil, record.isPaused || record.stopped != nil { continue }
            guard record.cancelled == nil, try await BatchReader(client: client).isInterrupted(record.id, journal)
            else {
                return false
            }
            for redo in record.generations {
                let queue = client.names.tasks(flow: record.flow, batch: record.id, redo: redo)
                if let status = try await client.broker.queueStatus(queue), status.ready > 0 { return false }
            }
            interrupted.append(record.id)
        }
        state.note { $0.interrupted = interrupted }
        return true
    }
}
