import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// Lets a bulk flow run many tasks of one batch as one job, in the slot that the first of them came to.
///
/// The tasks are leased as they arrive, so no broker waits for them. Each outcome is written when the flow reports it.
struct BulkExecution: Sendable {
    private let client: SheafClient
    private let journal: Journal
    private let ledger: SharedTaskLedger
    private let lifecycle: WorkerLifecycle
    private let limits: RateLimits
    private let settler: TaskSettler
    private let fetcher: TaskFetcher
    private let leases: BulkLeases
    private let submissions: SubmissionLog
    private let timing: WorkerTiming

    init(_ context: WorkerContext, settler: TaskSettler, fetcher: TaskFetcher, leases: BulkLeases) {
        self.client = context.client
        self.journal = context.journal
        self.ledger = context.ledger
        self.lifecycle = context.lifecycle
        self.limits = context.limits
        self.settler = settler
        self.fetcher = fetcher
        self.leases = leases
        self.submissions = context.submissions
        self.timing = context.timing
    }

    /// Begins a bulk with a task, adds the task to the one that is being gathered, or takes over the bulk that the
    /// task stands for.
    func run(_ first: Assignment, _ executor: TaskExecutor) async throws {
        guard let flow = first.definition.bulkFlow else { return }
        if let handOver = first.handOver {
            return try await takeOver(handOver, first, executor)
        }
        guard let gathering = ledger.gathering.join(first, limit: flow.maximumTasks) else { return }
        defer { ledger.gathering.close(gathering) }
        let bulk = leases.makeBulk(of: first.task.batch)
        var members: [BulkMember] = []
        do {
            try await gather(gathering, like: first, flow, bulk, executor, into: &members)
            members = try await keepConfirmed(members, in: bulk)
            if !members.isEmpty { try await leases.begin(bulk) }
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            // Without its log the batch is over, or lost; the aggregator handles that.
            client.logger.debug("batch \(first.task.batch): a bulk does not run: \(error)")
            ledger.gathering.close(gathering)
            return try await fetcher.giveBack(members.map(\.delivery) + gathering.takeArrived().map(\.delivery))
        }
        guard journal[first.task.batch]?.isRunnable == true, !lifecycle.isShuttingDown else {
            return try await fetcher.giveBack(members.map(\.delivery))
        }
        try await run(members, bulk, resuming: nil, slots: 1, executor)
    }

    // MARK: Gathering

    /// Leases tasks as they come, until the bulk may begin.
    private func gather(
        _ gathering: BulkGathering.Gathering,
        like first: Assignment,
        _ flow: any BulkFlow,
        _ bulk: HeldBulk,
        _ executor: TaskExecutor,
        into members: inout [BulkMember]
    ) async throws {
        fetcher.reviewSoon()
        var wait = BulkWait(flow, timing.bulkGathering.patience)
        var isLast = false
        while !isLast {
            let info = journal[first.task.batch]
            isLast = gathering.isFull || executor.isEnding || info?.isRunnable != true || wait.isOver(info)
            // Two bulks must not be mixed: one that is to be taken over waits for a slot.
            if !isLast, executor.mayContinue { isLast = try await takeMore(gathering, like: first, executor) }
            if isLast { ledger.gathering.close(gathering) }
            let arrived = gathering.takeArrived()
            if !arrived.isEmpty {
                members += try await leases.add(arrived, to: bulk)
                wait.note(arrived)
            } else if !isLast {
                try await Task.sleep(for: wait.isQuiet ? timing.bulkGathering.quietLook : timing.bulkGathering.look)
            }
        }
    }

    /// Adds what waits in the inbox; returns whether a task has to wait that stands for another bulk.
    private func takeMore(
        _ gathering: BulkGathering.Gathering,
        like first: Assignment,
        _ executor: TaskExecutor
    ) async throws -> Bool {
        let room = gathering.reserve(BulkGathering.window)
        var (found, uncertain) = executor.takeMore(
            after: first,
            atMost: room,
            bytes: BulkGathering.maximumBytes,
            isRunning: false
        )
        for delivery in uncertain {
            if let assignment = try await executor.begin(delivery) { found.append(assignment) }
        }
        gathering.unreserve(room)
        let others = found.filter { $0.handOver != nil || $0.isLate || !gathering.add($0) }
        try await executor.putBack(others)
        return !others.isEmpty
    }

    /// Drops tasks that another worker has in a bulk of its own.
    private func keepConfirmed(_ gathered: [BulkMember], in bulk: HeldBulk) async throws -> [BulkMember] {
        let members = try await leases.confirmed(gathered, in: bulk)
        let kept = Set(members.map(\.delivery.token))
        try await letGo(gathered.map(\.delivery).filter { !kept.contains($0.token) })
        return members
    }

    // MARK: Taking over

    private func takeOver(_ handOver: BulkHandOver, _ first: Assignment, _ executor: TaskExecutor) async throws {
        guard ledger.gathering.claim(handOver) else { return try await letGo([first.delivery]) }
        defer { ledger.gathering.unclaim(handOver) }
        let adopted: (bulk: HeldBulk, memo: BulkMemo?, members: [BulkMember])?
        do {
            adopted = try await leases.adopt(handOver, with: first)
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            client.logger.debug("batch \(first.task.batch): a bulk is not taken over: \(error)")
            return try await fetcher.giveBack([first.delivery])
        }
        let members = adopted?.members ?? []
        if !members.contains(where: { $0.delivery.token == first.delivery.token }) {
            try await letGo([first.delivery])
        }
        guard let adopted, !members.isEmpty else { return }
        fetcher.noteAdopted(members.count { $0.delivery.token != first.delivery.token })
        client.logger.info("batch \(first.task.batch): took over a bulk with \(members.count) tasks")
        // One that came from the suspects runs beside the slots.
        let slots = first.delivery.batch == nil ? 0 : 1
        try await run(members, adopted.bulk, resuming: adopted.memo, slots: slots, executor)
    }

    // MARK: Running

    /// A task whose attempt ended without an output.
    private struct Ended {
        let position: Int
        let result: AttemptResult
        var beginning = Moment()
    }

    private func run(
        _ members: [BulkMember],
        _ bulk: HeldBulk,
        resuming memo: BulkMemo?,
        slots: Int,
        _ executor: TaskExecutor
    ) async throws {
        guard let first = members.first else { return }
        ledger.gathering.occupy(slots)
        defer { ledger.gathering.occupy(-slots) }
        fetcher.reviewSoon()
        let (events, continuation) = AsyncStream.makeStream(of: Ended.self)
        let (control, progress) = (AttemptControl(), BulkProgress(members, memo: memo))
        try executor.noteBeginning(of: members)
        executor.setAttempt(of: members.map(\.delivery), in: first.batch, since: first.revision) {
            progress.cancel()
            control.end()
        }
        // From now on nothing may be submitted.
        if Task.isCancelled { control.end() }
        // The job goes on without this worker, so there is nothing to wait for.
        let watch = Task {
            await lifecycle.waitUntilShuttingDown()
            if lifecycle.isShuttingDown { control.end() }
        }
        defer { watch.cancel() }
        let attempts = Task.immediate {
            let tasks = tasks(of: members, executor)
            var positions = Array(members.indices)
            while !positions.isEmpty, !control.isEnded, !Task.isCancelled {
                // After a pause that its provider asked for, it begins anew.
                let (handed, beginning) = (positions, Moment())
                let end = await first.definition.attempt(
                    bulk: tasks.selecting(handed) { $0 },
                    resuming: progress.memo,
                    context: context(of: bulk, members)
                ) { memo in
                    do {
                        let ended = try await leases.remember(memo, of: bulk) { progress.unreported }
                        progress.remember(memo)
                        try await letGo(progress.drop(ended).map(\.delivery))
                    } catch {
                        progress.fail(error)
                        throw error
                    }
                } ended: { place, result in
                    let position = handed[place]
                    if case .throttled(let throttle) = result { return progress.throttle(position, throttle) }
                    guard progress.report(position) else { return }
                    guard case .success(let output) = result else {
                        _ = continuation.yield(Ended(position: position, result: result, beginning: beginning))
                        return
                    }
                    await executor.waitForRoom()
                    do {
                        try executor.succeed(members[position].assignment(), output, beginning)
                        progress.end(position)
                    } catch {
                        // Without its file the worker cannot go on; another one reads the result again.
                        progress.fail(error)
                        control.end()
                    }
                }
                if end.returnsRest { progress.returnRest() }
                let throttled = progress.takeThrottled()
                positions = throttled.positions
                guard end.rest.isEmpty, let throttle = throttled.throttle else { break }
                await wait(throttle, positions.map { members[$0] }, begun: beginning.instant, executor)
            }
            continuation.finish()
        }
        var failure: (any Error)?
        do {
            try await control.run(attempts, events) { event in
                if Task.isCancelled { return }
                try await executor.conclude(members[event.position].assignment(), event.result, event.beginning)
                progress.end(event.position)
            }
        } catch {
            failure = error
        }
        try await leave(members, bulk, progress, failure ?? progress.failure, executor)
    }

    /// The tasks as their flow sees them, each loaded when it is needed.
    private func tasks(of members: [BulkMember], _ executor: TaskExecutor) -> BulkTasks {
        let adopted = (try? members.first?.assignment().flowTask(nil))?.adopted
        return BulkTasks(of: members.first?.batch ?? "none", indices: members.map(\.index), adopted: adopted) {
            position throws(FlowError) in try executor.flowTask(of: members[position].assignment())
        }
    }

    /// What the flow needs besides the tasks.
    private func context(of bulk: HeldBulk, _ members: [BulkMember]) -> SubmissionContext {
        guard let first = members.first else { return SubmissionContext() }
        var context = SubmissionContext()
        context.recorder = BulkRecorder(
            log: submissions,
            journal: journal,
            bulk: bulk.id,
            batch: bulk.batch,
            flow: first.definition.name
        )
        if let age = (first.definition.bulkFlow as? any SubmittingFlow)?.liveAge, let info = journal[bulk.batch] {
            let since = members.lazy.compactMap { info.waitingSince(task: $0.index) }.min()
            context.liveAt = since.map { .now + max(.zero, age - (.now - $0)) }
        }
        return context
    }

    /// Waits as long as the provider asks for, in the slot: the bulk stays together.
    private func wait(
        _ throttle: FlowThrottle,
        _ members: [BulkMember],
        begun start: ContinuousClock.Instant,
        _ executor: TaskExecutor
    ) async {
        guard let key = members.first?.definition.rateLimitKey else { return }
        do {
            try await executor.pauseService(for: members, throttle, begun: start)
            if throttle.isOwn { return }
            while let end = limits[key].pause() { try await Task.sleep(until: end, clock: .continuous) }
        } catch {
            // It is cancelled, which the caller notices.
            client.logger.debug("a bulk no longer waits for \(key): \(error)")
        }
    }

    // MARK: Leaving

    /// Decides about the tasks that have no result after the flow has ended.
    private func leave(
        _ members: [BulkMember],
        _ bulk: HeldBulk,
        _ progress: BulkProgress,
        _ failure: (any Error)?,
        _ executor: TaskExecutor
    ) async throws {
        var (open, failure) = (progress.open.map { members[$0] }, failure)
        let memo = progress.memo
        switch failure {
        case is BulkLeases.BulkLost:
            client.logger.warning("batch \(bulk.batch): other workers have tasks of a bulk of \(open.count) tasks")
            // They may have taken only some of its tasks.
            (open, failure) = (try await keepConfirmed(open, in: bulk), nil)
        case let error as BrokerError where error.code == .notFound || error.code == .queueGone:
            return try await letGo(open.map(\.delivery))
        default: break
        }
        guard let first = open.first else {
            if let failure, !(failure is CancellationError) { throw failure }
            return
        }
        if progress.isCancelled {
            if let memo, let flow = first.definition.bulkFlow {
                let context = context(of: bulk, members)
                await Task { await flow.discard(memo, context) }.value
            }
            for member in open { try await executor.conclude(member.assignment(), .cancelled, progress.beginning) }
        } else if memo != nil, !progress.returnsRest {
            // This worker may receive the task that stands for the bulk, which must not be taken for a copy then.
            ledger.withLock { [open] in _ = $0.close(open.map(\.delivery)) }
            await leases.handOver(bulk, by: try first.assignment().task)
            lifecycle.noteReturned(open.map(\.delivery))
            try await letGo(open.map(\.delivery))
        } else if !Task.isCancelled, failure == nil || failure is CancellationError {
            // Otherwise, the end of the worker returns them.
            try await fetcher.giveBack(open.map(\.delivery))
        }
        if let failure, !(failure is CancellationError) { throw failure }
    }

    /// Forgets tasks that the results log has elsewhere.
    ///
    /// A later delivery may be that of the task itself, after it was returned, or may stand for a bulk.
    private func letGo(_ deliveries: [TaskDelivery]) async throws {
        let (settler, fetcher) = (settler, fetcher)
        let later = ledger.withLock { $0.detach(deliveries) }
        try await withoutCancellation {
            try await settler.settle(deliveries, as: .acknowledged)
            if !later.isEmpty { try await fetcher.giveBack(later) }
        }
    }
}
