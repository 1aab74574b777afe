import Logging
import SheafBroker
import SheafCore
import SheafFlows

/// Gets tasks for the slots: consumes from the batches' queues, or takes single tasks where more than one would be too many.
actor TaskFetcher {
    private let client: SheafClient
    private let configuration: WorkerConfiguration
    private let journal: Journal
    private let state: WorkerState
    private let inbox: TaskInbox
    private let writer: OutcomeWriter
    private let flows: Set<Name>

    private var plan: FetchPlan
    private var subscriptions: [Name: Subscription] = [:]
    private var pumps: [Int: Task<Void, any Error>] = [:]
    private var nextNumber = 0
    /// Batches whose queue is gone though the journal says nothing of an end.
    private var lost: Set<Name> = []
    /// How many more tasks it may take.
    private(set) var remaining: Int?
    /// Whether so few tasks are left before the limit that they are taken one by one.
    private var isNearLimit = false
    private var pullTurn = 0
    private var isReconciling = false
    private let trigger = Changes()

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
            group.addTask { for await _ in self.state.changed.stream() where self.state.isLeaving { self.trigger.notify() } }
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
    private var candidates: [BatchRecord] {
        if state.isLeaving || remaining == 0 { return [] }
        return journal.batches.batches.filter { record in
            record.isRunnable && flows.contains(record.flow) && !lost.contains(record.id)
                && !state.isHalted(record.id) && configuration.batch.map { $0 == record.id } != false
        }
    }

    /// Whether a batch is taken from task by task: where it is capped, and for the last tasks before the limit.
    private func isPulled(_ record: BatchRecord) -> Bool {
        record.options.concurrency != nil || isNearLimit || remaining.map { $0 <= 3 * plan.slots } == true
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
        if isReconciling { return }
        isReconciling = true
        defer { isReconciling = false }
        let pushed = candidates.filter { !isPulled($0) }
        let eligible = Set(pushed.map(\.id))
        for batch in subscriptions.keys where !eligible.contains(batch) { try await drop(batch) }
        let chosen = try await choose(pushed)
        let holding = Set(state.held.compactMap(\.batch))
        let busy = Set(
            chosen.map(\.id).filter { id in
                chosen.count == 1 || holding.contains(id) || subscriptions[id]?.isBusy() != false
            }
        )
        for record in chosen {
            let current = subscriptions[record.id]
            var prefetch = plan.prefetch(isBusy: busy.contains(record.id), busyCount: busy.count)
            if let remaining { prefetch = min(prefetch, max(1, remaining / 4 / busy.count)) }
            if let current {
                guard plan.isWorthChanging(from: current.prefetch, to: prefetch) else { continue }
                try await unsubscribe(current)
            }
            try await subscribe(record, prefetch: prefetch)
        }
    }

    /// The batches to consume from: the oldest few, and of more than that those that have something to do.
    private func choose(_ records: [BatchRecord]) async throws -> [BatchRecord] {
        let limit = plan.maximumSubscriptions
        if records.count <= limit { return records }
        let holding = Set(state.held.compactMap(\.batch))
        func isBusy(_ record: BatchRecord) -> Bool {
            holding.contains(record.id) || subscriptions[record.id]?.isBusy() == true
        }
        var chosen = Array(records.filter(isBusy).prefix(limit))
        for record in records where chosen.count < limit && !isBusy(record) {
            let queue = client.names.tasks(flow: record.flow, batch: record.id, redo: record.redo)
            let status = try await passing { try await client.broker.queueStatus(queue) }
            if let ready = status??.ready, ready > 0 { chosen.append(record) }
        }
        let kept = Set(chosen.map(\.id))
        for batch in subscriptions.keys where !kept.contains(batch) { try await drop(batch) }
        return chosen
    }

    private func subscribe(_ record: BatchRecord, prefetch: Int) async throws {
        let queue = client.names.tasks(flow: record.flow, batch: record.id, redo: record.redo)
        do {
            guard let consumer = try await passing({ try await client.broker.consume(queue, prefetch: prefetch) }) else {
                return
            }
            nextNumber += 1
            let subscription = Subscription(
                batch: record.id,
                consumer: consumer,
                prefetch: prefetch,
                number: nextNumber
            )
            subscriptions[record.id] = subscription
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
            if subscriptions[subscription.batch]?.number == subscription.number { subscriptions[subscription.batch] = nil }
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
        if subscriptions[subscription.batch]?.number == subscription.number {
            let wasBusy = subscriptions[subscription.batch]?.isBusy() == true
            subscriptions[subscription.batch]?.lastDelivery = .now
            if !wasBusy { trigger.notify() }
        }
        if let left = remaining { remaining = left - items.count }
        inbox.put(items)
    }

    /// Ends the consumers while the broker can not yet have sent more tasks than may be taken, so that none goes back.
    ///
    /// What a consumer may send is bounded by its prefetch and by what is settled; so this is asked before each settlement.
    func willSettle(_ count: Int) async throws {
        guard let left = remaining, !subscriptions.isEmpty else { return }
        let possible = subscriptions.values.reduce(count) { $0 + $1.prefetch }
        guard left < possible else { return }
        isNearLimit = true
        for subscription in subscriptions.values { try await unsubscribe(subscription) }
    }

    private func unsubscribe(_ subscription: Subscription) async throws {
        subscriptions[subscription.batch] = nil
        let rest = try await passing { try await subscription.consumer.cancel() } ?? []
        receive(rest, subscription)
        try? await pumps.removeValue(forKey: subscription.number)?.value
    }

    /// Ends the consumer of a batch and gives back what has not begun.
    private func drop(_ batch: Name) async throws {
        guard let subscription = subscriptions[batch] else { return }
        try await unsubscribe(subscription)
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

    private func queueIsGone(_ batch: Name) async throws {
        // The end of a batch deletes its queue; the journal says so, maybe a moment later.
        try await journal.catchUp()
        if let record = journal[batch], record.ending == nil, record.cancelled == nil, lost.insert(batch).inserted {
            client.logger.error("batch \(batch): its task queue is gone, though the batch has not ended")
        }
    }

    // MARK: Pulling

    /// Takes single tasks, each when a slot is free for it.
    private func pull() async throws {
        var backoff = Backoff(first: .milliseconds(5), ceiling: .milliseconds(50))
        while await inbox.demand() {
            try Task.checkCancellation()
            if let item = try await pullOne() {
                backoff.reset()
                state.hold([item])
                if let left = remaining { remaining = left - 1 }
                inbox.put([item], fulfilling: 1)
            } else {
                inbox.put([], fulfilling: 1)
                // Neither a queue nor permits can be waited for without taking from them: ask again soon.
                try await backoff.pause()
            }
        }
    }

    private func pullOne() async throws -> InboxItem? {
        let records = candidates.filter(isPulled)
        pullTurn += 1
        for offset in records.indices {
            let record = records[(pullTurn + offset) % records.count]
            if let item = try await passing({ try await self.pullOne(of: record) }) ?? nil { return item }
            if candidates.isEmpty { return nil }
        }
        return nil
    }

    /// A permit first, then a task; a permit without a task goes back.
    private func pullOne(of record: BatchRecord) async throws -> InboxItem? {
        let queue = client.names.tasks(flow: record.flow, batch: record.id, redo: record.redo)
        do {
            var permit: Delivery?
            if record.options.concurrency != nil {
                permit = try await client.broker.get(client.names.permits(batch: record.id))
                if permit == nil { return nil }
            }
            if let delivery = try await client.broker.get(queue) {
                return InboxItem(delivery: delivery, batch: record.id, permit: permit)
            }
            if let permit { try await client.broker.settle(permit, as: .returned) }
            return nil
        } catch let error as BrokerError where error.code == .notFound {
            try await queueIsGone(record.id)
            return nil
        }
    }

    // MARK: Suspects

    /// While nothing else is held, takes a task that came back too often, and runs it alone.
    private func takeSuspects() async throws {
        while true {
            try await Task.sleep(for: .seconds(1))
            guard state.idleTime > .milliseconds(300), !state.isLeaving, remaining != 0 else { continue }
            for flow in flows { try await passing { try await self.takeSuspect(of: flow) } }
        }
    }

    private func takeSuspect(of flow: Name) async throws {
        let queue = client.names.suspects(flow: flow)
        guard let status = try await client.broker.queueStatus(queue), status.ready > 0 else { return }
        isReconciling = true  // no consumer begins while a suspect is run
        defer {
            isReconciling = false
            trigger.notify()
        }
        for batch in subscriptions.keys { try await drop(batch) }
        guard state.heldCount == 0, let delivery = try await client.broker.get(queue) else { return }
        let item = InboxItem(delivery: delivery, batch: nil, permit: nil)
        if let task = try? BatchTask(delivery.message), let record = journal[task.batch], record.ending == nil,
            record.cancelled == nil, !record.isRunnable
        {
            // Halted, not over: back to its own queue, where it waits with the others.
            let home = client.names.tasks(flow: task.flow, batch: task.batch, redo: task.redo)
            try await client.broker.publish(delivery.message, to: home)
            try await client.broker.settle(delivery, as: .acknowledged)
            return
        }
        state.hold([item])
        if let left = remaining { remaining = left - 1 }
        inbox.put([item])
        await state.waitUntilNothingHeld()
    }

    /// Ends all consumers and gives back all that has not begun; for the end of the worker.
    func stop() async throws {
        for batch in subscriptions.keys { try await drop(batch) }
        try await settleUnstarted(inbox.drainAll())
    }

    /// Runs a call to the broker; nil where it failed in a way that passes by itself.
    private func passing<Result>(_ call: () async throws -> Result) async throws -> Result? {
        do {
            return try await call()
        } catch let error as BrokerError where error.isRetryable {
            client.logger.warning("fetching is interrupted: \(error)")
            try await Task.sleep(for: Self.tick)
            return nil
        }
    }
}
