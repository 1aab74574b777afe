import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// Consumes from the queues of batches, and decides from which and how far ahead.
actor TaskFetcher {
    private let client: SheafClient
    private let scope: FetchScope
    private let journal: Journal
    private let ledger: SharedTaskLedger
    private let lifecycle: WorkerLifecycle
    private let inbox: TaskInbox
    private let settler: TaskSettler
    private let limits: RateLimits
    private let timing: WorkerTiming

    private var controller: PrefetchController
    private var subscriptions: [QueueKey: QueueSubscription] = [:]
    /// The tasks that move what consumers bring into the inbox, by the number of the consumer.
    private var pumps: [Int: Task<Void, any Error>] = [:]
    private var nextNumber = 0
    private let trigger = Changes()

    init(_ context: WorkerContext, scope: FetchScope, settler: TaskSettler) {
        self.client = context.client
        self.scope = scope
        self.journal = context.journal
        self.ledger = context.ledger
        self.lifecycle = context.lifecycle
        self.inbox = context.inbox
        self.settler = settler
        self.limits = context.limits
        self.timing = context.configuration.timing
        self.controller = PrefetchController(slots: context.configuration.concurrency, timing: context.timing)
    }

    /// Fetches until cancelled.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.measure() }
            group.addTask { for await _ in self.journal.changes() { await self.journalChanged() } }
            group.addTask {
                for await _ in self.lifecycle.changed.stream() where self.lifecycle.isLeaving { self.reviewSoon() }
            }
            group.addTask {
                for await _ in self.trigger.stream() {
                    try Task.checkCancellation()
                    try await self.reconcile()
                }
            }
            try await group.waitForAllOrFailure()
        }
    }

    /// Counts tasks that came with a bulk; a bulk is taken whole, even if more are left than may be taken.
    nonisolated func noteAdopted(_ count: Int) { scope.withBudget { $0.take(count) } }

    /// Lets the subscriptions be reviewed as soon as possible.
    nonisolated func reviewSoon() { trigger.notify() }

    /// Measures how many tasks end, which tells how many to fetch ahead, and triggers reviews.
    private func measure() async throws {
        while true {
            let next = controller.nextLook(
                isAwaited: inbox.isAwaited,
                waits: inbox.waits,
                isConsuming: subscriptions.values.contains { $0.isConsuming },
                now: .now
            )
            try await Task.sleep(until: next, clock: .continuous)
            switch controller.look(ended: lifecycle.report.finished, now: .now) {
            case .none: break
            case .raised: trigger.notify()
            case .regular:
                reportBroken()
                trigger.notify()
            }
        }
    }

    private func journalChanged() {
        for batch in ledger.withLock({ $0.runningBatches }) where journal.isCancelledNow(batch) {
            for cancel in ledger.withLock({ $0.attempts(of: batch) }) { cancel() }
        }
        trigger.notify()
    }

    // MARK: Subscriptions

    /// Makes the subscriptions what they should be.
    private func reconcile() async throws {
        // One review at a time; what has changed meanwhile triggers the next.
        guard scope.begin(.reconciling) else { return }
        defer { scope.end(.reconciling) }
        let pushed = scope.candidates.filter { !scope.isPulled($0) }
        let eligible = Set(pushed.flatMap(scope.keys))
        for (key, subscription) in subscriptions where subscription.isConsuming && !eligible.contains(key) {
            // Near the limit no more may come, but what has come may run. Else it goes back, also if it would need a
            // permit.
            let mayRunFreely =
                scope.mayRun(key.batch) && journal[key.batch]?.maxRunning == nil && !scope.areSlotsLeased
            if mayRunFreely { try await unsubscribe(key) } else { try await drop(key.batch) }
        }
        // Tasks that wait for a rate limit would go on waiting although their batch no longer runs.
        try await giveBackUnstarted(inbox.drain { item in item.batch.map { !scope.mayRun($0) } ?? false })
        let chosen = try await choose(pushed.flatMap(scope.keys))
        // A queue that is not to be consumed from just now is in no trouble.
        for key in subscriptions.keys where !chosen.contains(key) { update(key) { _ = $0.endTrouble() } }
        let holding = ledger.withLock { $0.queues }
        let busy = Set(
            chosen.filter { key in
                chosen.count == 1 || (!isPaused(key) && (holding.contains(key) || isBusy(key) != false))
            }
        )
        for key in chosen {
            let current = subscriptions[key]?.prefetch ?? 0
            // A paused queue keeps what it has, and the others share the slots meanwhile.
            if isPaused(key), current > 0 { continue }
            let change = controller.change(
                from: current,
                isBusy: busy.contains(key),
                busyCount: busy.count,
                budget: scope.withBudget { $0 },
                least: ledger.gathering.window(of: key.batch)
            )
            switch change {
            case .none: break
            case .raise(let prefetch): try await subscribe(key, prefetch: prefetch)
            case .share(let prefetch): try await share(key, keeping: prefetch)
            case .lower(let prefetch):
                try await unsubscribe(key)
                try await subscribe(key, prefetch: prefetch)
            }
        }
    }

    /// The queues to consume from: the oldest few; if there are more, those that have tasks.
    private func choose(_ keys: [QueueKey]) async throws -> [QueueKey] {
        let limit = controller.maximumQueues
        if keys.count <= limit { return keys }
        let holding = ledger.withLock { $0.queues }
        func isBusyNow(_ key: QueueKey) -> Bool { holding.contains(key) || isBusy(key) == true }
        var chosen = Array(keys.filter(isBusyNow).prefix(limit))
        for key in keys where chosen.count < limit && !isBusyNow(key) {
            if try await waitingCount(of: key) ?? 0 > 0 { chosen.append(key) }
        }
        let kept = Set(chosen)
        for (key, subscription) in subscriptions where subscription.isConsuming && !kept.contains(key) {
            try await unsubscribe(key)
            try await giveBackUnstarted(inbox.drain { $0.queue == key })
        }
        return chosen
    }

    /// Whether the consumers of a queue have brought something lately; nil without consumers.
    private func isBusy(_ key: QueueKey) -> Bool? {
        guard let subscription = subscriptions[key], subscription.isConsuming else { return nil }
        return subscription.isBusy(within: timing.busyTime, now: .now)
    }

    /// Whether the service that a batch's tasks call has asked for a pause.
    private func isPaused(_ key: QueueKey) -> Bool { scope.limit(of: key.batch).map(limits.isPaused) ?? false }

    /// How many tasks wait in a queue; nil if that cannot be found out, or the queue does not exist.
    private func waitingCount(of key: QueueKey) async throws -> Int? {
        guard let name = scope.name(of: key) else { return nil }
        return try await scope.passing { try await client.broker.queueStatus(name) }??.ready
    }

    /// Changes what is known of a queue, and forgets it if nothing is left.
    private func update<Result>(_ key: QueueKey, _ change: (inout QueueSubscription) -> Result) -> Result {
        var subscription = subscriptions[key] ?? QueueSubscription(now: .now)
        let result = change(&subscription)
        subscriptions[key] = subscription.isBlank ? nil : subscription
        return result
    }

    private func subscribe(_ key: QueueKey, prefetch: Int) async throws {
        guard let name = scope.name(of: key) else { return }
        // Noted before, so that a call that hangs is noticed too.
        if subscriptions[key]?.isConsuming != true { update(key) { $0.noteTrouble(nil, now: .now) } }
        scope.withBudget { $0.claim(prefetch) }
        var isConsuming = false
        defer { if !isConsuming { scope.withBudget { $0.unclaim(prefetch) } } }
        do {
            let queueConsumer = try await client.broker.consume(name, prefetch: prefetch)
            isConsuming = true
            nextNumber += 1
            let consumer = QueueSubscription.Consumer(
                queue: key,
                consumer: queueConsumer,
                prefetch: prefetch,
                number: nextNumber
            )
            let isRepaired = update(key) { $0.add(consumer, now: .now) }
            pumps[nextNumber] = Task { try await self.pump(consumer) }
            noteService(of: key, isRepaired: isRepaired)
        } catch let error as BrokerError {
            if error.code == .notFound || error.code == .queueGone {
                try await scope.queueIsMissing(name, of: key)
            } else if error.isRetryable {
                update(key) { $0.noteTrouble(error, now: .now) }
                scope.complain(of: error)
                try await Task.sleep(for: timing.fetchInterval)
            } else {
                throw error
            }
        }
    }

    /// Moves what a consumer brings into the inbox.
    private func pump(_ consumer: QueueSubscription.Consumer) async throws {
        let key = consumer.queue
        var failure: BrokerError?
        do {
            while let deliveries = try await consumer.consumer.next() { receive(deliveries, consumer) }
        } catch let error as BrokerError {
            failure = error
        }
        // If this worker itself has ended it, it is no longer there.
        guard update(key, { $0.remove(consumer.number) }) else { return }
        scope.withBudget { $0.unclaim(consumer.prefetch) }
        pumps[consumer.number] = nil
        let error = failure ?? BrokerError(.connectionLost, "the consumer ended unexpectedly")
        if error.code == .queueGone || error.code == .notFound {
            if let name = scope.name(of: key) { try await scope.queueIsMissing(name, of: key) }
        } else {
            try await returnDeliveries(of: consumer)
            update(key) { $0.noteTrouble(error, now: .now) }
            lifecycle.noteBroker("\(error)", for: .fetching)
            client.logger.warning("batch \(key.batch): \(error); the worker consumes again")
        }
        trigger.notify()
    }

    /// Returns the deliveries of a lost consumer that have not begun.
    ///
    /// If its connection was lost, the broker has taken them back already. If the broker ended only the consumer, it
    /// still waits for them.
    private func returnDeliveries(of consumer: QueueSubscription.Consumer) async throws {
        let lost = inbox.drain { $0.consumer == consumer.number }
        let kept = ledger.withLock { $0.lose(lost, now: .now) }
        scope.withBudget { $0.putBack(lost.count - kept.count) }
        inbox.put(kept)
        lifecycle.changed.notify()
        let taken = Set(kept.map(\.token))
        let tokens = lost.map(\.token).filter { !taken.contains($0) }
        if tokens.isEmpty { return }
        _ = try await scope.passing { try await client.broker.settle(tokens, as: .returned) }
    }

    private func receive(_ deliveries: [Delivery], _ consumer: QueueSubscription.Consumer) {
        let key = consumer.queue
        let limit = scope.limit(of: key.batch)
        let items = deliveries.map { TaskDelivery($0, from: key, limit: limit, consumer: consumer.number) }
        ledger.withLock { $0.receive(items, now: .now) }
        if let isBusy = isBusy(key) {
            update(key) { $0.noteDelivery(now: .now) }
            if !isBusy { trigger.notify() }
        }
        scope.withBudget { $0.take(items.count) }
        inbox.put(items)
    }

    private func unsubscribe(_ key: QueueKey) async throws {
        guard subscriptions[key]?.isConsuming == true else { return }
        try await end(update(key) { $0.removeAll() })
    }

    /// Ends consumers that were removed from their subscription, and takes what they still bring.
    private func end(_ consumers: [QueueSubscription.Consumer]) async throws {
        for consumer in consumers {
            if journal.isOver(consumer.queue.batch) {
                // The deletion of the queue ends the consumer. RabbitMQ may not answer requests about a queue that it
                // is deleting, and the channel would wait for the answer for half a minute.
                pumps[consumer.number] = nil
                scope.withBudget { $0.unclaim(consumer.prefetch) }
                continue
            }
            let rest = try await scope.passing { try await consumer.consumer.cancel() }
            receive(rest ?? [], consumer)
            let pump = pumps.removeValue(forKey: consumer.number)
            // All that the consumer brought is here now, so its pump need not find out why the consumer ended. On
            // RabbitMQ that takes a second if the queue was deleted.
            if rest != nil { pump?.cancel() }
            try? await pump?.value
            scope.withBudget { $0.unclaim(consumer.prefetch) }
        }
    }

    /// Ends consumers of a queue that bring too much, and returns what other workers can begin sooner.
    ///
    /// As long as tasks wait in the queue, other workers have enough to do.
    private func share(_ key: QueueKey, keeping prefetch: Int) async throws {
        let held = ledger.withLock { $0.count(of: key) }
        let claimed = scope.withBudget { $0.claimed }
        guard controller.mayShare(held: held, claimed: claimed, isStalled: lifecycle.isStalled),
            try await waitingCount(of: key) == 0
        else { return }
        // A consumer's end waits for what is on its way to it, except on a cluster for what another node sends.
        try await Task.sleep(for: timing.arrival)
        guard scope.mayRun(key.batch), subscriptions[key]?.isConsuming == true else { return }
        let surplus = update(key) { $0.removeSurplus(beyond: prefetch) }
        // One that brings less follows.
        if subscriptions[key]?.isConsuming != true { trigger.notify() }
        try await end(surplus)
        let numbers = Set(surplus.map(\.number))
        // A task that is published again begins anew: one that may have ended its worker must not.
        let items = inbox.drain { item in
            item.earlierDeliveries == 0 && item.consumer.map(numbers.contains) == true
        }
        try await giveBackUnstarted(items, publishing: true)
    }

    // MARK: The limit of tasks

    /// Ends the consumers before the broker can have sent more tasks than may be taken, so that none goes back.
    ///
    /// What a consumer may be sent is bounded by its prefetch and by what is settled, so this is called before each
    /// settlement.
    func willSettle(_ count: Int) async throws {
        let consumed = subscriptions.values.reduce(0) { $0 + $1.prefetch }
        guard scope.withBudget({ $0.mustEndConsumers(settling: count, consumed: consumed) }) else { return }
        // While nothing is settled, what is on its way arrives, and then ending the consumers costs nothing.
        let (start, patience) = (ContinuousClock.now, timing.limitPatience)
        while isAwaitingDeliveries, .now - start < patience.longest {
            try await Task.sleep(for: timing.limitInterval)
            if .now - start > patience.ifEmpty, try await areQueuesEmpty() { break }
        }
        for key in subscriptions.keys { try await unsubscribe(key) }
    }

    /// Whether any queue's consumers may still be sent something although nothing is settled.
    private var isAwaitingDeliveries: Bool {
        subscriptions.contains { key, subscription in
            subscription.isConsuming && ledger.withLock { $0.count(of: key) } < subscription.prefetch
        }
    }

    /// Whether the queues consumed from are empty, so that nothing has been on its way for a while.
    private func areQueuesEmpty() async throws -> Bool {
        for (key, subscription) in subscriptions where subscription.isConsuming {
            if try await waitingCount(of: key) ?? 0 > 0 { return false }
        }
        return true
    }

    // MARK: Returning tasks

    /// Ends the consumers of a batch and returns what has not begun.
    private func drop(_ batch: Name) async throws {
        let keys = subscriptions.filter { $0.key.batch == batch && $0.value.isConsuming }.keys
        if keys.isEmpty { return }
        for key in keys { try await unsubscribe(key) }
        try await giveBackUnstarted(inbox.drain(batch))
    }

    /// Ends the consumers of all batches and returns what has not begun.
    func dropAll() async throws {
        for batch in Set(subscriptions.keys.map(\.batch)) { try await drop(batch) }
    }

    /// Ends all consumers and returns everything that has not begun; for the end of the worker.
    func stop() async throws {
        try await dropAll()
        try await giveBackUnstarted(inbox.drainAll())
    }

    /// Returns deliveries that must not run now, after their consumers have ended, so that they do not come right back.
    func giveBack(_ items: [TaskDelivery]) async throws {
        for batch in Set(items.compactMap(\.batch)) { try await drop(batch) }
        try await giveBackUnstarted(items)
    }

    /// Moves deliveries that have waited so long that the broker would take them back to the end of their queues.
    func giveBackStale(before limit: ContinuousClock.Instant) async throws {
        let stale = ledger.withLock { $0.unstarted(before: limit) }
        if stale.isEmpty { return }
        try await giveBackUnstarted(inbox.drain { stale.contains($0.token) }, publishing: true)
    }

    private func giveBackUnstarted(_ items: [TaskDelivery], publishing: Bool = false) async throws {
        if items.isEmpty { return }
        scope.withBudget { $0.putBack(items.count) }
        func isOver(_ item: TaskDelivery) -> Bool {
            guard let batch = item.batch else { return false }
            guard let info = journal[batch] else { return true }
            return info.cancelled != nil || info.ending != nil
        }
        let returned = items.filter { !isOver($0) }
        lifecycle.noteReturned(returned)
        try await settler.giveBack(returned, publishing: publishing)
        try await settler.settle(items.filter(isOver), as: .acknowledged)
    }

    // MARK: Trouble

    /// Records that a queue delivers tasks.
    func noteService(of key: QueueKey) {
        if subscriptions[key] == nil { return lifecycle.noteBroker(nil, for: .fetching) }
        noteService(of: key, isRepaired: update(key) { $0.endTrouble() })
    }

    private func noteService(of key: QueueKey, isRepaired: Bool) {
        lifecycle.noteBroker(nil, for: .fetching)
        if isRepaired {
            client.logger.warning(
                "batch \(key.batch): queue '\(scope.name(of: key) ?? "")' delivers tasks again"
            )
        }
    }

    /// Reports queues that a connected worker has not been able to consume from for long.
    private func reportBroken() {
        for key in subscriptions.keys {
            if !scope.mayRun(key.batch) {
                update(key) { _ = $0.endTrouble() }
                continue
            }
            guard let name = scope.name(of: key),
                let reason = update(key, { $0.brokenReason(after: timing.brokenPatience, now: .now) })
            else { continue }
            lifecycle.note { $0.broken += 1 }
            client.logger.error(
                """
                batch \(key.batch): nothing could be consumed from queue '\(name)' for \(timing.brokenPatience), and \
                the worker keeps trying: \(reason)
                """
            )
        }
    }
}
