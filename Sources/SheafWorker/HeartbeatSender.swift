import Logging
import SheafBatches
import SheafBroker
import SheafCore

/// Says which tasks the worker runs: every second, and soon after that changes.
struct HeartbeatSender: Sendable {
    let client: SheafClient
    let worker: String
    let state: WorkerState
    let inbox: TaskInbox
    let book: RateLimits

    private static let tick = Duration.milliseconds(250)

    /// Says that nothing runs any more, so that nobody has to wait for this worker to be forgotten.
    func sayNothingRuns() async {
        let signal = Heartbeat(worker: worker, running: [:])
        do {
            try await withoutCancellation {
                try await client.broker.append(signal.message, to: client.names.heartbeats)
            }
        } catch {
            client.logger.debug("the last signal is not sent: \(error)")
        }
    }

    func run() async throws {
        var said = Heartbeat(worker: worker, running: [:])
        var saidAt = ContinuousClock.now
        while true {
            try await Task.sleep(for: Self.tick)
            let signal = currentSignal
            let isDue = !(signal.running.isEmpty && signal.waiting.isEmpty) && .now - saidAt >= .seconds(1)
            guard isDue || signal != said else { continue }
            do {
                try await client.broker.append(signal.message, to: client.names.heartbeats)
                said = signal
                saidAt = .now
            } catch let error as BrokerError where error.isRetryable {
                client.logger.debug("a signal is not sent: \(error)")
            }
        }
    }

    private var currentSignal: Heartbeat {
        let limited = inbox.limited.mapValues { key, tasks in
            let left = book[key].pause().map { $0 - .now }
            return RateLimitWait(key: key, tasks: tasks, until: left.map { Timestamp.now + $0 })
        }
        return Heartbeat(worker: worker, running: state.running, waiting: state.waiting, limited: limited)
    }
}
