import Logging
import SheafBatches
import SheafBroker
import SheafCore

/// Reports which tasks the worker runs: every second, and soon after that changes.
struct HeartbeatSender: Sendable {
    private let client: SheafClient
    private let worker: String
    private let ledger: SharedTaskLedger
    private let inbox: TaskInbox
    private let limits: RateLimits
    private let timing: WorkerTiming

    init(_ context: WorkerContext) {
        self.client = context.client
        self.worker = context.configuration.name
        self.ledger = context.ledger
        self.inbox = context.inbox
        self.limits = context.limits
        self.timing = context.configuration.timing
    }

    /// Reports until cancelled.
    func run() async throws {
        var sent = Heartbeat(worker: worker, running: [:])
        var sentAt = ContinuousClock.now
        while true {
            try await Task.sleep(for: timing.heartbeatLook)
            let heartbeat = current
            let isDue =
                !(heartbeat.running.isEmpty && heartbeat.waiting.isEmpty)
                && .now - sentAt >= timing.heartbeatInterval
            guard isDue || heartbeat != sent else { continue }
            do {
                try await client.broker.append(heartbeat.message, to: client.names.heartbeats)
                sent = heartbeat
                sentAt = .now
            } catch let error as BrokerError where error.isRetryable {
                client.logger.debug("cannot send a heartbeat: \(error)")
            }
        }
    }

    /// Reports that nothing runs, so that readers need not wait until this worker is forgotten.
    func reportNothing() async {
        let heartbeat = Heartbeat(worker: worker, running: [:])
        do {
            try await withoutCancellation {
                try await client.broker.append(heartbeat.message, to: client.names.heartbeats)
            }
        } catch {
            client.logger.debug("cannot send the last heartbeat: \(error)")
        }
    }

    private var current: Heartbeat {
        let limited = inbox.limited.mapValues { key, tasks in
            let left = limits[key].pause().map { $0 - .now }
            return RateLimitWait(key: key, tasks: tasks, until: left.map { Timestamp.now + $0 })
        }
        let (running, waiting) = ledger.withLock { ($0.runningTasks, $0.waitingCounts) }
        return Heartbeat(worker: worker, running: running, waiting: waiting, limited: limited)
    }
}
