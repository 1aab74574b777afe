import Logging
import SheafBatches
import SheafBroker
public import SheafCore
import SheafFlows
import Synchronization

/// What a worker did.
public struct WorkerReport: Sendable, Equatable {
    /// The number of tasks that succeeded.
    public var succeeded = 0
    /// The number of tasks that failed finally.
    public var failed = 0
    /// The number of tasks that were cancelled while they ran.
    public var cancelled = 0
    /// The number of attempts that failed and were scheduled again.
    public var retried = 0
    /// The number of tasks returned unfinished to their queues.
    public var returned = 0
    /// How often a queue delivered nothing for ten seconds although the broker could be reached, so that something is
    /// broken.
    public var broken = 0
    /// The batches whose only unfinished tasks were lost by the broker.
    public var missing: [Name] = []
    /// The batches that were never published completely and whose creator is gone.
    public var interrupted: [Name] = []
    /// Whether the worker has ended and left nothing: every task that it had begun has ended, and the broker has
    /// confirmed everything.
    public var isDrained = false

    /// The number of tasks that ended.
    public var finished: Int { succeeded + failed }
}

/// Whether a worker runs, leaves or stalls, and what it has done.
final class WorkerLifecycle: Sendable {
    private enum Phase {
        case working
        /// It takes no more tasks; the running ones may take as long as they need.
        case leaving
        /// The same, asked for from outside, so that the running ones have limited time.
        case shuttingDown
    }

    private struct Contents {
        var phase = Phase.working
        var report = WorkerReport()
        /// Whether every task had ended when the worker stopped its parts.
        var isEmpty = false
        /// Why the broker could not be used, by the part of the worker that found out.
        var interruptions: [BrokerUse: String] = [:]
    }

    /// What a part of the worker uses the broker for.
    enum BrokerUse: Sendable, Hashable {
        case fetching, writing
    }

    private let contents = Mutex(Contents())
    // Apart from the rest, because each task reads the first and adds to the second.
    private let stalled = Atomic(false)
    private let successes = Atomic(0)
    private let observer: (any WorkerObserver)?
    /// Notifies when deliveries are received or released, when the worker starts to leave, and when it stalls or goes
    /// on.
    let changed = Changes()

    init(observer: (any WorkerObserver)? = nil) { self.observer = observer }

    // MARK: Report

    /// What the worker has done.
    var report: WorkerReport {
        var report = contents.withLock { $0.report }
        report.succeeded = successes.load(ordering: .relaxed)
        return report
    }

    /// Counts a task that succeeded.
    func noteSuccess() { successes.wrappingAdd(1, ordering: .relaxed) }

    /// Changes the report.
    func note(_ change: (inout WorkerReport) -> Void) {
        contents.withLock { change(&$0.report) }
    }

    /// Counts tasks that are returned to their queues unfinished, and notifies the observer.
    func noteReturned(_ deliveries: [TaskDelivery]) {
        if deliveries.isEmpty { return }
        note { $0.returned += deliveries.count }
        guard let observer else { return }
        for (batch, returned) in Dictionary(grouping: deliveries, by: \.batch) {
            observer.tasksReturned(returned.count, toQueueOf: batch)
        }
    }

    // MARK: Leaving

    /// Records that every task that the worker had taken has ended or is back in its queue.
    func noteEmpty() { contents.withLock { $0.isEmpty = true } }

    /// Records that the worker has ended and that the broker has confirmed everything.
    func noteDrained() { contents.withLock { $0.report.isDrained = $0.isEmpty } }

    /// Whether it takes no more tasks.
    var isLeaving: Bool { contents.withLock { $0.phase != .working } }
    /// Whether it was told from outside to leave, so that running tasks have limited time.
    var isShuttingDown: Bool { contents.withLock { $0.phase == .shuttingDown } }

    /// Takes no more tasks from now on.
    func leave(shuttingDown: Bool = false) {
        contents.withLock { contents in
            if shuttingDown {
                contents.phase = .shuttingDown
            } else if contents.phase == .working {
                contents.phase = .leaving
            }
        }
        changed.notify()
    }

    /// Waits until it is to take no more tasks.
    func waitUntilLeaving() async {
        for await _ in changed.stream() where isLeaving { return }
    }

    /// Waits until it is told from outside to leave.
    func waitUntilShuttingDown() async {
        for await _ in changed.stream() where isShuttingDown { return }
    }

    // MARK: Stalling

    /// Whether outcomes cannot be written at the moment, so that no task may begin.
    var isStalled: Bool { stalled.load(ordering: .sequentiallyConsistent) }

    /// Records whether outcomes can be written.
    func setStalled(_ isStalled: Bool) {
        stalled.store(isStalled, ordering: .sequentiallyConsistent)
        changed.notify()
        noteBroker(isStalled ? "outcomes cannot be written" : nil, for: .writing)
    }

    /// Waits while outcomes cannot be written, unless the worker leaves.
    func waitWhileStalled() async {
        if !isStalled { return }
        for await _ in changed.stream() where !isStalled || isLeaving { return }
    }

    /// Records why the broker cannot be used for something, or that it can, and notifies the observer of a change.
    func noteBroker(_ interruption: String?, for use: BrokerUse) {
        guard let observer else { return }
        let change: WorkerConnectionState? = contents.withLock { contents in
            let wasInterrupted = !contents.interruptions.isEmpty
            contents.interruptions[use] = interruption
            switch (wasInterrupted, contents.interruptions.isEmpty) {
            case (true, true): return .connected
            case (false, false): return .interrupted(reason: interruption ?? "")
            default: return nil
            }
        }
        if let change { observer.connectionChanged(to: change) }
    }
}

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
            for queue in info.openQueues {
                let queue = client.names.tasks(flow: info.flow, batch: info.id, queue: queue)
                if let status = try await client.broker.queueStatus(queue), status.ready > 0 { return false }
            }
            interrupted.append(info.id)
        }
        lifecycle.note { $0.interrupted = interrupted }
        return true
    }
}
