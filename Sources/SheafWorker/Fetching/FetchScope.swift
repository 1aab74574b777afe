import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows
import Synchronization

/// What the parts that fetch tasks share: which batches may run, the budget of tasks, and which part may act now.
final class FetchScope: Sendable {
    /// Which parts fetch just now.
    ///
    /// A suspect runs alone: while it does, no other part fetches.
    private enum Turn {
        case shared(isReconciling: Bool, isPulling: Bool)
        case alone
    }

    private struct Contents {
        var budget: TaskBudget
        /// When an interruption was logged last.
        var complainedAt: ContinuousClock.Instant?
        var turn = Turn.shared(isReconciling: false, isPulling: false)
    }

    /// What a part does while it has the turn.
    enum Activity {
        case reconciling, pulling, runningAlone
    }

    private let client: SheafClient
    private let batch: Name?
    private let limits: [Name: RateLimitKey]
    /// The flows that the worker knows whose tasks run as bulks.
    let bulkFlows: Set<Name>
    private let slots: Int
    private let journal: Journal
    private let ledger: SharedTaskLedger
    private let lifecycle: WorkerLifecycle
    private let timing: WorkerTiming
    private let contents: Mutex<Contents>

    init(_ context: WorkerContext) {
        self.client = context.client
        self.batch = context.configuration.batch
        self.limits = context.configuration.rateLimitKeys
        self.bulkFlows = Set(context.configuration.flows.lazy.filter { $0.bulkFlow != nil }.map(\.name))
        self.slots = context.configuration.concurrency
        self.journal = context.journal
        self.ledger = context.ledger
        self.lifecycle = context.lifecycle
        self.timing = context.configuration.timing
        let budget = TaskBudget(limit: context.configuration.maxTasks, slots: context.configuration.concurrency)
        contents = Mutex(Contents(budget: budget))
    }

    // MARK: Batches and queues

    /// The flows that the worker knows.
    var flows: some Sequence<Name> { limits.keys }

    /// The batches that it may work for now, oldest first.
    var candidates: [BatchInfo] {
        if lifecycle.isLeaving || isSpent { return [] }
        return journal.state.batches.filter { info in
            limits[info.flow] != nil && mayRun(info) && batch.map { $0 == info.id } != false
        }
    }

    /// Whether tasks of a batch may begin now.
    func mayRun(_ batch: Name) -> Bool { journal[batch].map(mayRun) ?? false }

    private func mayRun(_ info: BatchInfo) -> Bool {
        info.isRunnable && !lifecycle.isLeaving
            && !ledger.withLock { $0.isHalted(info.id, continuations: info.continuations) }
    }

    /// Whether tasks of a batch are taken one by one.
    ///
    /// They are if the batch is capped, if the limit of tasks is near, and while leased tasks occupy slots: the broker no
    /// longer counts those against a prefetch, and would send more than can begin. A bulk that is being gathered takes
    /// all that comes.
    func isPulled(_ info: BatchInfo) -> Bool {
        if info.maxRunning != nil || withBudget({ $0.takesOneByOne }) { return true }
        return areSlotsLeased && !ledger.gathering.isOpen(for: info.id)
    }

    /// Whether a leased task occupies a slot, or bulks occupy all of them.
    var areSlotsLeased: Bool { ledger.leasedCount > 0 || ledger.gathering.running >= slots }

    /// The task queues of a batch that tasks may be taken from, oldest generation first.
    func keys(of info: BatchInfo) -> [QueueKey] {
        info.openQueues.map { QueueKey(batch: info.id, queue: $0) }
    }

    /// The name of a task queue; nil if its batch is no longer known.
    func name(of key: QueueKey) -> String? {
        journal[key.batch].map { client.names.tasks(flow: $0.flow, batch: key.batch, queue: key.queue) }
    }

    /// The rate limit of a batch's tasks.
    func limit(of batch: Name) -> RateLimitKey? { journal[batch].flatMap { limits[$0.flow] } }

    /// The rate limit of a flow's tasks.
    func limit(ofFlow flow: Name) -> RateLimitKey? { limits[flow] }

    // MARK: Budget

    /// Reads or changes the budget of tasks.
    func withBudget<Result: Sendable>(_ body: (inout TaskBudget) -> Result) -> Result {
        contents.withLock { body(&$0.budget) }
    }

    /// Whether no more tasks may be taken.
    var isSpent: Bool { withBudget { $0.isSpent } }

    // MARK: Turns

    /// Takes the turn for an activity, which has to be ended by ``end(_:)``.
    ///
    /// - Returns: False if another part does the same, or something that excludes it.
    func begin(_ activity: Activity) -> Bool {
        contents.withLock { contents in
            switch (contents.turn, activity) {
            case (.shared(false, let isPulling), .reconciling):
                contents.turn = .shared(isReconciling: true, isPulling: isPulling)
            case (.shared(let isReconciling, false), .pulling):
                contents.turn = .shared(isReconciling: isReconciling, isPulling: true)
            case (.shared(false, false), .runningAlone): contents.turn = .alone
            default: return false
            }
            return true
        }
    }

    /// Ends an activity.
    func end(_ activity: Activity) {
        contents.withLock { contents in
            switch (contents.turn, activity) {
            case (.shared(_, let isPulling), .reconciling):
                contents.turn = .shared(isReconciling: false, isPulling: isPulling)
            case (.shared(let isReconciling, _), .pulling):
                contents.turn = .shared(isReconciling: isReconciling, isPulling: false)
            case (.alone, .runningAlone): contents.turn = .shared(isReconciling: false, isPulling: false)
            default: break
            }
        }
    }

    // MARK: Interruptions

    /// Runs a call to the broker; returns nil if it failed in a way that passes by itself.
    func passing<Result>(_ call: () async throws -> Result) async throws -> Result? {
        do {
            let result = try await call()
            lifecycle.noteBroker(nil, for: .fetching)
            return result
        } catch let error as BrokerError where error.isRetryable {
            complain(of: error)
            try await Task.sleep(for: timing.fetchInterval)
            return nil
        }
    }

    /// Reports that the broker cannot be used, but not at every try.
    func complain(of error: BrokerError) {
        lifecycle.noteBroker("\(error)", for: .fetching)
        let isNew = contents.withLock { contents in
            if let last = contents.complainedAt, .now - last < timing.complaintInterval { return false }
            contents.complainedAt = .now
            return true
        }
        if isNew { client.logger.warning("fetching tasks is interrupted: \(error)") }
    }

    /// Handles a task or permit queue that does not exist, according to the broker.
    ///
    /// The end of a batch deletes its queues, and the journal records the end before. So the journal is read to its
    /// end first; if the batch should still have the queue, it is lost, and the batch is halted.
    func queueIsMissing(_ queue: String, of key: QueueKey) async throws {
        guard try await passing({ try await journal.catchUp() }) != nil else { return }
        guard let info = journal[key.batch], info.isRunnable, info.openQueues.contains(key.queue) else { return }
        let (loss, what): (LossReason, String)
        if queue == name(of: key) {
            (loss, what) = (
                .queue, "the task queue '\(queue)' no longer exists, and the tasks that waited in it are lost"
            )
        } else if info.maxRunning != nil, queue == client.names.permits(batch: info.id, generation: info.oldestQueue) {
            (loss, what) = (.permits, "the permit queue '\(queue)' no longer exists, so no task of the batch can begin")
        } else {
            return
        }
        let reason = "\(loss.rawValue): \(what)"
        client.logger.error("batch \(key.batch): \(reason)")
        _ = try await passing {
            try await journal.append(.stopped(reason: reason), to: key.batch, flow: info.flow)
            try await journal.catchUp()
        }
    }
}
