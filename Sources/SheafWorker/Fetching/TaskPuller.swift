import Logging
import SheafBatches
import SheafBroker
import SheafCore

/// Takes single tasks: from capped batches, near the limit of tasks, and from the suspects.
struct TaskPuller: Sendable {
    /// How many pulled tasks of a batch may wait for its rate limit, which keep the permits that they hold from others.
    private static let mostPulled = 2

    private let client: SheafClient
    private let scope: FetchScope
    private let ledger: SharedTaskLedger
    private let lifecycle: WorkerLifecycle
    private let journal: Journal
    private let inbox: TaskInbox
    private let takeOvers: TaskInbox
    private let fetcher: TaskFetcher
    private let permits: PermitPool
    private let timing: WorkerTiming

    init(_ context: WorkerContext, scope: FetchScope, fetcher: TaskFetcher, permits: PermitPool) {
        self.client = context.client
        self.scope = scope
        self.ledger = context.ledger
        self.lifecycle = context.lifecycle
        self.journal = context.journal
        self.inbox = context.inbox
        self.takeOvers = context.takeOvers
        self.fetcher = fetcher
        self.permits = permits
        self.timing = context.timing
    }

    /// Takes tasks until cancelled.
    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.pull() }
            group.addTask { try await self.takeSuspects() }
            try await group.waitForAllOrFailure()
        }
    }

    // MARK: Tasks of batches

    /// Takes single tasks, each once a slot is free for it.
    private func pull() async throws {
        var backoff = Backoff(first: timing.pullPause.first, ceiling: timing.pullPause.longest)
        var turn = 0
        while await inbox.demand() {
            try Task.checkCancellation()
            turn += 1
            if try await pullOne(turn: turn) {
                backoff.reset()
            } else {
                inbox.put([], fulfilling: 1)
                // Neither a queue nor permits can be awaited without taking from them, so ask again soon.
                try await backoff.pause()
            }
        }
    }

    private func receive(_ item: TaskDelivery, in inbox: TaskInbox, fulfilling promised: Int = 0) {
        ledger.withLock { $0.receive([item], now: .now) }
        scope.withBudget { $0.take(1) }
        inbox.put([item], fulfilling: promised)
    }

    /// Takes the next task; returns false if there is none.
    ///
    /// The task is received before the turn ends, so that no suspect begins beside it.
    private func pullOne(turn: Int) async throws -> Bool {
        let batches = scope.candidates.filter { scope.isPulled($0) && inbox.count(of: $0.id) < Self.mostPulled }
        guard !batches.isEmpty, scope.begin(.pulling) else { return false }
        defer { scope.end(.pulling) }
        for offset in batches.indices {
            guard scope.withBudget({ $0.allowsPull }) else { return false }
            let info = batches[(turn + offset) % batches.count]
            for key in scope.keys(of: info) {
                let item: TaskDelivery?? = try await scope.passing { try await self.pullOne(of: info, key) }
                if let item = item ?? nil {
                    receive(item, in: inbox, fulfilling: 1)
                    return true
                }
            }
            if scope.candidates.isEmpty { return false }
        }
        return false
    }

    /// Takes a permit first, then a task; a permit without a task goes back.
    private func pullOne(of info: BatchInfo, _ key: QueueKey) async throws -> TaskDelivery? {
        let tasks = client.names.tasks(flow: info.flow, batch: key.batch, queue: key.queue)
        var place = tasks
        var permit: Delivery?
        do {
            if info.maxRunning != nil {
                place = permits.queue(of: info)
                permit = try await permits.take(of: info)
                if permit == nil { return nil }
                place = tasks
            }
            if let delivery = try await client.broker.get(place) {
                await fetcher.noteService(of: key)
                return TaskDelivery(delivery, from: key, permit: permit, limit: scope.limit(ofFlow: info.flow))
            }
        } catch {
            // A permit that is kept would stop the batch on all workers.
            if let permit { try? await client.broker.settle(permit, as: .returned) }
            guard let error = error as? BrokerError, error.code == .notFound || error.code == .queueGone else {
                throw error
            }
            try await scope.queueIsMissing(place, of: key)
            return nil
        }
        if let permit { try await client.broker.settle(permit, as: .returned) }
        await fetcher.noteService(of: key)
        return nil
    }

    // MARK: Suspects

    /// While nothing else is held, takes a task that came back too often, and runs it alone.
    private func takeSuspects() async throws {
        while true {
            try await Task.sleep(for: timing.suspects.interval)
            for flow in scope.bulkFlows {
                try await unlessGone(flow) { try await self.clearSuspects(of: flow) }
            }
            guard ledger.idleTime > timing.suspects.idle, !lifecycle.isLeaving, !lifecycle.isStalled, !scope.isSpent
            else { continue }
            for flow in scope.flows where !scope.bulkFlows.contains(flow) {
                try await unlessGone(flow) { try await self.takeSuspect(of: flow) }
            }
        }
    }

    /// Looks at the suspects of a flow, whose queue may be deleted meanwhile, or may never have been declared.
    private func unlessGone(_ flow: Name, _ body: @Sendable () async throws -> Void) async throws {
        do {
            try await scope.passing(body)
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            client.logger.debug("flow \(flow): no suspects: \(error)")
        }
    }

    /// Takes over bulks that wait among the suspects of a flow, and moves other suspects to the end of their task
    /// queues.
    ///
    /// A bulk that is taken over runs beside the slots: all of them may wait for what its job uses up at the provider.
    ///
    /// A task of a bulk is leased before its flow sees it, and then it is in no queue. So one that came back too often
    /// was only fetched by workers that were lost, and alone it would be a submission of one request.
    private func clearSuspects(of flow: Name) async throws {
        let queue = client.names.suspects(flow: flow)
        guard let status = try await client.broker.queueStatus(queue), status.ready > 0 else { return }
        while !lifecycle.isLeaving, !lifecycle.isStalled, !scope.isSpent,
            let delivery = try await client.broker.get(queue)
        {
            guard let task = try? BatchTask(delivery.message) else {
                try await client.broker.settle(delivery, as: .rejected)
                continue
            }
            if journal[task.batch]?.generations.contains(task.generation) != true { try await journal.catchUp() }
            if BulkHandOver(delivery.message) != nil, takeOvers.isAwaited,
                scope.candidates.contains(where: { $0.id == task.batch })
            {
                receive(TaskDelivery(delivery, limit: scope.limit(ofFlow: flow)), in: takeOvers)
                continue
            }
            if let info = journal[task.batch], info.ending == nil, info.cancelled == nil,
                info.generations.contains(task.generation)
            {
                let home = client.names.tasks(flow: info.flow, batch: task.batch, generation: task.generation)
                try await client.broker.publish(DeathHeaders.removed(from: delivery.message), to: home)
            }
            try await client.broker.settle(delivery, as: .acknowledged)
        }
    }

    private func takeSuspect(of flow: Name) async throws {
        let queue = client.names.suspects(flow: flow)
        guard let status = try await client.broker.queueStatus(queue), status.ready > 0 else { return }
        // While a suspect runs, no consumer begins and no other task is fetched.
        guard scope.begin(.runningAlone) else { return }
        defer {
            scope.end(.runningAlone)
            fetcher.reviewSoon()
        }
        try await fetcher.dropAll()
        guard ledger.count == 0, let delivery = try await client.broker.get(queue) else { return }
        receive(TaskDelivery(delivery, limit: scope.limit(ofFlow: flow)), in: inbox)
        await ledger.waitUntilEmpty()
    }
}
