import Logging
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

    var plan: FetchPlan
    var feeds: [Name: BatchFeed] = [:]
    private var pumps: [Int: Task<Void, any Error>] = [:]
    private var nextNumber = 0
    /// Batches whose queue is gone though the journal says nothing of an end.
    private var lost: Set<Name> = []
    /// How many more tasks it may take.
    var remaining: Int?
    /// Whether so few tasks are left before the limit that they are taken one by one.
    private var isNearLimit = false
    var pullTurn = 0
    var isReconciling = false
    /// The sum of the prefetches of all consumers: so many deliveries they may hold or still bring.
    private(set) var claimed = 0
    /// Whether a single task is being fetched.
    var isPulling = false
    /// Whether a suspect is run, beside which nothing else may be.
    var isAlone = false
    let trigger = Changes()

    private static let tick = Duration.milliseconds(200)

    init(
        client: SheafClient,
        configuration: WorkerConfiguration,
        journal: Journal,
        state: WorkerState,
        inbox: TaskInbox,
        writer: OutcomeWriter
    ) {
        self.client = client
        self.configuration = configuration
        self.journal = journal
        self.state = state
        self.inbox = inbox
        self.writer = writer
        self.flows = Set(configuration.flows.map(\.name))
        self.plan = FetchPlan(slots: configuration.concurrency)
        self.remaining = configuration.limit
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
    var candidates: [BatchRecord] {
        if state.isLeaving || remaining == 0 { return [] }
        return journal.batches.batches.filter { record in
            flows.contains(record.flow) && mayRun(record.id) && !lost.contains(record.id)
                && configuration.batch.map { $0 == record.id } != false
        }
    }

    /// Whether tasks of a batch may begin now.
    private func mayRun(_ batch: Name) -> Bool {
        journal[batch]?.isRunnable == true && !state.isHalted(batch) && !state.isLeaving
    }

    /// Whether a batch is taken from task by task: where it is capped, and for the last tasks before the limit.
    func isPulled(_ record: BatchRecord) -> Bool {
        record.concurrency != nil || isNearLimit || remaining.map { $0 <= 3 * plan.slots } == true
    }

    private func measure() async throws {
        var before = state.report.finished
        while true {
            try await Task.sleep(for: Self.tick)
            let now = state.report.finished
            let rate = Double(now - before) / (Double(Self.tick.components.attoseconds) / 1e18)
            before = now
            plan.rate = rate > plan.rate ? rate : (plan.rate + rate) / 2
            trigger.notify()
        }
    }

    private func journalChanged() {
        for (batch, _) in state.running where journal[batch]?.cancelled?.now == true { state.cancelAttempts(of: batch) }
        trigger.notify()
    }

    // MARK: Consuming

    /// Makes the subscriptions what they should be.
    private func reconcile() async throws {
        // One at a time; what has changed meanwhile triggers the next.
        if isReconciling || isAlone { return }
        isReconciling = true
        defer { isReconciling = false }
        let pushed = candidates.filter { !isPulled($0) }
        let eligible = Set(pushed.map(\.id))
        for batch in feeds.keys where !eligible.contains(batch) {
            // Near the limit no more may come, but what has come may run; else it goes back.
            if mayRun(batch) { try await unsubscribe(batch) } else { try await drop(batch) }
        }
        let chosen = try await choose(pushed)
        let holding = Set(state.held.compactMap(\.batch))
        let busy = Set(
            chosen.map(\.id).filter { id in
                chosen.count == 1 || holding.contains(id) || feeds[id]?.isBusy() != false
            }
        )
        for record in chosen {
            var prefetch = plan.prefetch(isBusy: busy.contains(record.id), busyCount: busy.count)
            if let remaining { prefetch = min(prefetch, max(1, remaining / 4 / busy.count)) }
            let current = feeds[record.id]?.prefetch ?? 0
            if plan.isWorthRaising(from: current, to: prefetch) {
                // Another consumer beside those there are: ending one makes the broker take back what is on its way to it.
                try await subscribe(record, prefetch: prefetch - current)
            } else if plan.isWorthLowering(from: current, to: prefetch) {
                try await unsubscribe(record.id)
                try await subscribe(record, prefetch: prefetch)
            }
        }
    }

    /// The batches to consume from: the oldest few, and of more than that those that have something to do.
    private func choose(_ records: [BatchRecord]) async throws -> [BatchRecord] {
        let limit = plan.maximumSubscriptions
        if records.count <= limit { return records }
        let holding = Set(state.held.compactMap(\.batch))
        func isBusy(_ record: BatchRecord) -> Bool {
            holding.contains(record.id) || feeds[record.id]?.isBusy() == true
        }
        var chosen = Array(records.filter(isBusy).prefix(limit))
        for record in records where chosen.count < limit && !isBusy(record) {
            let queue = client.names.tasks(flow: record.flow, batch: record.id, redo: record.redo)
            let status = try await passing { try await client.broker.queueStatus(queue) }
            if let ready = status??.ready, ready > 0 { chosen.append(record) }
        }
        let kept = Set(chosen.map(\.id))
        for batch in feeds.keys where !kept.contains(batch) { try await drop(batch) }
        return chosen
    }

    private func subscribe(_ record: BatchRecord, prefetch: Int) async throws {
        let queue = client.names.tasks(flow: record.flow, batch: record.id, redo: record.redo)
        claimed += prefetch
        var isConsuming = false
        defer { if !isConsuming { claimed -= prefetch } }
        do {
            guard let consumer = try await passing({ try await client.broker.consume(queue, prefetch: prefetch) })
            else {
                return
            }
            isConsuming = true
            nextNumber += 1
            let subscription = Subscription(
                batch: record.id,
                consumer: consumer,
                prefetch: prefetch,
                number: nextNumber
            )
            feeds[record.id, default: BatchFeed()].subscriptions[nextNumber] = subscription
            pumps[nextNumber] = Task { try await self.pump(subscription) }
        } catch let error as BrokerError where error.code == .notFound {
            try await queueIsGone(record.id)
        }
    }

    /// Moves what a consumer brings into the inbox.
    private func pump(_ subscription: Subscription) async throws {
        do {
            while let deliveries = try await subscription.consumer.next() { receive(deliveries, subscription) }
        } catch let error as BrokerError {
            if feeds[subscription.batch]?.subscriptions.removeValue(forKey: subscription.number) != nil {
                claimed -= subscription.prefetch
            }
            if feeds[subscription.batch]?.subscriptions.isEmpty == true { feeds[subscription.batch] = nil }
            pumps[subscription.number] = nil
            if error.code == .queueGone || error.code == .notFound {
                try await queueIsGone(subscription.batch)
            } else {
                client.logger.warning("batch \(subscription.batch): \(error); consuming begins again")
            }
        }
    }

    private func receive(_ deliveries: [Delivery], _ subscription: Subscription) {
        let items = deliveries.map { InboxItem(delivery: $0, batch: subscription.batch, permit: nil) }
        state.hold(items)
        if let feed = feeds[subscription.batch] {
            feeds[subscription.batch]?.lastDelivery = .now
            if !feed.isBusy() { trigger.notify() }
        }
        if let left = remaining { remaining = left - items.count }
        inbox.put(items)
    }

    /// Ends the consumers while the broker can not yet have sent more tasks than may be taken, so that none goes back.
    ///
    /// What a consumer may send is bounded by its prefetch and by what is settled; so this is asked before each settlement.
    func willSettle(_ count: Int) async throws {
        guard let left = remaining, !feeds.isEmpty else { return }
        let possible = feeds.values.reduce(count) { $0 + $1.prefetch }
        guard left < possible else { return }
        isNearLimit = true
        // While nothing is settled, what is on its way arrives, and then ending the consumers costs nobody anything.
        let (start, patience) = (ContinuousClock.now, Duration.seconds(2))
        while feeds.contains(where: { state.heldCount(of: $0.key) < $0.value.prefetch }), .now - start < patience {
            try await Task.sleep(for: .milliseconds(10))
            if .now - start > .milliseconds(200), try await nothingWaits() { break }
        }
        for batch in feeds.keys { try await unsubscribe(batch) }
    }

    /// Whether the queues consumed from are empty, so that no more can be on its way than has been for a while.
    private func nothingWaits() async throws -> Bool {
        for record in journal.batches.batches where feeds[record.id] != nil {
            let queue = client.names.tasks(flow: record.flow, batch: record.id, redo: record.redo)
            let status = try await passing { try await client.broker.queueStatus(queue) }
            if let ready = status??.ready, ready > 0 { return false }
        }
        return true
    }

    private func unsubscribe(_ batch: Name) async throws {
        guard let feed = feeds.removeValue(forKey: batch) else { return }
        for subscription in feed.subscriptions.values {
            let rest = try await passing { try await subscription.consumer.cancel() } ?? []
            receive(rest, subscription)
            try? await pumps.removeValue(forKey: subscription.number)?.value
            claimed -= subscription.prefetch
        }
    }

    /// Ends the consumer of a batch and gives back what has not begun.
    func drop(_ batch: Name) async throws {
        guard feeds[batch] != nil else { return }
        try await unsubscribe(batch)
        let unstarted = inbox.drain(batch)
        if let left = remaining { remaining = left + unstarted.count }
        try await settleUnstarted(unstarted)
    }

    /// Gives back deliveries that must not be run now, after their consumer has ended, so that they do not come right back.
    func giveBack(_ items: [InboxItem]) async throws {
        for batch in Set(items.compactMap(\.batch)) { try await drop(batch) }
        if let left = remaining { remaining = left + items.count }
        try await settleUnstarted(items)
    }

    private func settleUnstarted(_ items: [InboxItem]) async throws {
        func isOver(_ item: InboxItem) -> Bool {
            guard let batch = item.batch, let record = journal[batch] else { return false }
            return record.cancelled != nil || record.ending != nil
        }
        let returned = items.filter { !isOver($0) }
        state.note { $0.returned += returned.count }
        try await writer.settle(returned, as: .returned)
        try await writer.settle(items.filter(isOver), as: .acknowledged)
    }

    func queueIsGone(_ batch: Name) async throws {
        // The end of a batch deletes its queue; the journal says so, maybe a moment later.
        try await journal.catchUp()
        if let record = journal[batch], record.ending == nil, record.cancelled == nil, lost.insert(batch).inserted {
            client.logger.error("batch \(batch): its task queue is gone, though the batch has not ended")
        }
    }

    /// Ends all consumers and gives back all that has not begun; for the end of the worker.
    func stop() async throws {
        for batch in feeds.keys { try await drop(batch) }
        try await settleUnstarted(inbox.drainAll())
    }

    /// Runs a call to the broker; nil where it failed in a way that passes by itself.
    func passing<Result>(_ call: () async throws -> Result) async throws -> Result? {
        do {
            return try await call()
        } catch let error as BrokerError where error.isRetryable {
            client.logger.warning("fetching is interrupted: \(error)")
            try await Task.sleep(for: Self.tick)
            return nil
        }
    }
}
