import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// Gets tasks for the slots: consumes from the batches' queues, or takes single tasks where more than one would be too many.
actor TaskFetcher {
    let client: SheafClient
    let configuration: WorkerConfiguration
    let journal: Journal
    let state: WorkerState
    let inbox: TaskInbox
    let writer: OutcomeWriter
    let flows: Set<Name>
    /// What the calls of each flow wait for.
    let limits: [Name: RateLimitKey]
    let book: RateLimits

    var plan: FetchPlan
    var feeds: [QueueKey: BatchFeed] = [:]
    var pumps: [Int: Task<Void, any Error>] = [:]
    var nextNumber = 0
    /// Queues from which nothing can be taken, though they should be there.
    var troubles: [QueueKey: QueueTrouble] = [:]
    /// How many more tasks it may take.
    var remaining: Int?
    /// Whether so few tasks are left before the limit that they are taken one by one.
    var isNearLimit = false
    var pullTurn = 0
    var isReconciling = false
    /// The sum of the prefetches of all consumers: so many deliveries they may hold or still bring.
    var claimed = 0
    /// Whether a single task is being fetched.
    var isPulling = false
    /// Whether a permit is being exchanged, which no other task is to take.
    var isRenewing = false
    /// Whether a suspect is run, beside which nothing else may be.
    var isAlone = false
    /// When it was last said that fetching is interrupted.
    var complainedAt: ContinuousClock.Instant?
    let trigger = Changes()

    static let tick = Duration.milliseconds(200)

    init(
        client: SheafClient,
        configuration: WorkerConfiguration,
        journal: Journal,
        state: WorkerState,
        inbox: TaskInbox,
        writer: OutcomeWriter,
        book: RateLimits
    ) {
        self.client = client
        self.configuration = configuration
        self.journal = journal
        self.state = state
        self.inbox = inbox
        self.writer = writer
        self.book = book
        self.flows = Set(configuration.flows.map(\.name))
        self.limits = Dictionary(configuration.flows.map { ($0.name, $0.rateLimitKey) }, uniquingKeysWith: { $1 })
        self.plan = FetchPlan(slots: configuration.concurrency)
        self.remaining = configuration.maxTasks
    }

    /// Fetches until cancelled.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.measure() }
            group.addTask { for await _ in self.journal.changes() { await self.journalChanged() } }
            group.addTask {
                for await _ in self.state.changed.stream() where self.state.isLeaving { self.trigger.notify() }
            }
            group.addTask { try await self.pull() }
            group.addTask { try await self.takeSuspects() }
            group.addTask {
                for await _ in self.trigger.stream() {
                    try Task.checkCancellation()
                    try await self.reconcile()
                }
            }
            try await group.waitForAll()
        }
    }

    /// The batches it may work for now, oldest first.
    var candidates: [BatchInfo] {
        if state.isLeaving || remaining == 0 { return [] }
        return journal.state.batches.filter { record in
            flows.contains(record.flow) && mayRun(record.id)
                && configuration.batch.map { $0 == record.id } != false
        }
    }

    /// Whether tasks of a batch may begin now.
    func mayRun(_ batch: Name) -> Bool {
        guard let record = journal[batch] else { return false }
        return record.isRunnable && !state.isHalted(record) && !state.isLeaving
    }

    /// Whether a batch is taken from task by task.
    ///
    /// That is so where it is capped, for the last tasks before the limit, and while a leased task keeps a slot for long: the
    /// broker does not count that one against a prefetch any more, and would send more than can begin.
    func isPulled(_ record: BatchInfo) -> Bool {
        record.maxRunning != nil || isNearLimit || remaining.map { $0 <= 3 * plan.slots } == true
            || state.leasedCount > 0
    }

    /// The queues of a batch, oldest generation first.
    func keys(of record: BatchInfo) -> [QueueKey] {
        record.generations.map { QueueKey(batch: record.id, generation: $0) }
    }

    /// The name of a queue of tasks; nil where its batch is not known any more.
    func queue(_ key: QueueKey) -> String? {
        journal[key.batch].map { client.names.tasks(flow: $0.flow, batch: key.batch, generation: key.generation) }
    }

    /// Finds out how many tasks end, which tells how many to fetch ahead, and looks after the subscriptions.
    private func measure() async throws {
        /// How many tasks had ended at a time.
        typealias Count = (ended: Int, at: ContinuousClock.Instant)
        func count() -> Count { (state.report.finished, .now) }
        var last = count()
        var (lastLook, lastEnd) = (last, last)
        var waits = 0
        while true {
            // Where slots wait although tasks end, too few may be fetched ahead.
            let isStarved = inbox.isAwaited || inbox.waits > waits
            let isHungry = isStarved && !feeds.isEmpty && .now - lastEnd.at < .seconds(1)
            waits = inbox.waits
            let next = last.at + Self.tick
            try await Task.sleep(until: isHungry ? min(next, .now + FetchPlan.look) : next, clock: .continuous)
            let now = count()
            if now.ended > lastEnd.ended { lastEnd = now }
            if now.at >= next {
                plan.note(ended: now.ended - last.ended, in: now.at - last.at)
                (last, lastLook) = (now, now)
                noteBroken()
                trigger.notify()
            } else if plan.areEnough(now.ended - lastLook.ended) {
                if plan.noteEarly(ended: now.ended - lastLook.ended, in: now.at - lastLook.at) { trigger.notify() }
                lastLook = now
            }
        }
    }

    private func journalChanged() {
        for (batch, _) in state.running where journal.isCancelledNow(batch) { state.cancelAttempts(of: batch) }
        trigger.notify()
    }

    /// Runs a call to the broker; nil where it failed in a way that passes by itself.
    func passing<Result>(_ call: () async throws -> Result) async throws -> Result? {
        do {
            return try await call()
        } catch let error as BrokerError where error.isRetryable || error.code == .notFound {
            complain(of: error)
            try await Task.sleep(for: Self.tick)
            return nil
        }
    }

    /// Says that the broker can not be asked; not at every try.
    func complain(of error: BrokerError) {
        if let complainedAt, .now - complainedAt < .seconds(10) { return }
        complainedAt = .now
        client.logger.warning("fetching is interrupted: \(error)")
    }
}
