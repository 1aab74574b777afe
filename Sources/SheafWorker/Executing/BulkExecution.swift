import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows
import Synchronization

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
        if let handOver = BulkHandOver(first.delivery.delivery.message) {
            return try await takeOver(handOver, first, executor)
        }
        // A suspect runs alone.
        let limit = first.delivery.batch == nil ? 1 : flow.maximumTasks
        guard let gathering = ledger.gathering.join(first, limit: limit) else { return }
        defer { ledger.gathering.close(gathering) }
        let bulk = leases.makeBulk(of: first.task.batch)
        let members: [Assignment]
        do {
            members = try await keepConfirmed(try await gather(gathering, like: first, flow, bulk, executor), in: bulk)
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            // Without its log the batch is over, or lost; the aggregator handles that.
            client.logger.debug("batch \(first.task.batch): a bulk does not run: \(error)")
            ledger.gathering.close(gathering)
            return try await fetcher.giveBack(gathering.tasks.map(\.delivery))
        }
        guard journal[first.task.batch]?.isRunnable == true, !lifecycle.isShuttingDown else {
            return try await fetcher.giveBack(members.map(\.delivery))
        }
        try await run(members, bulk, resuming: nil, executor)
    }

    // MARK: Gathering

    /// Leases tasks as they come, until the bulk may begin.
    private func gather(
        _ gathering: BulkGathering.Gathering,
        like first: Assignment,
        _ flow: any BulkFlow,
        _ bulk: HeldBulk,
        _ executor: TaskExecutor
    ) async throws -> [Assignment] {
        fetcher.reviewSoon()
        var members: [Assignment] = []
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
        return members
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
        let others = found.filter { BulkHandOver($0.delivery.delivery.message) != nil || !gathering.add($0) }
        try await executor.putBack(others)
        return !others.isEmpty
    }

    /// Drops tasks that another worker has in a bulk of its own.
    private func keepConfirmed(_ gathered: [Assignment], in bulk: HeldBulk) async throws -> [Assignment] {
        let members = try await leases.confirmed(gathered, in: bulk)
        let kept = Set(members.map(\.delivery.token))
        try await letGo(gathered.filter { !kept.contains($0.delivery.token) })
        return members
    }

    // MARK: Taking over

    private func takeOver(_ handOver: BulkHandOver, _ first: Assignment, _ executor: TaskExecutor) async throws {
        guard ledger.gathering.claim(handOver) else { return try await letGo([first]) }
        defer { ledger.gathering.unclaim(handOver) }
        let adopted: (bulk: HeldBulk, memo: BulkMemo?, members: [Assignment])?
        do {
            adopted = try await leases.adopt(handOver, with: first)
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            client.logger.debug("batch \(first.task.batch): a bulk is not taken over: \(error)")
            return try await fetcher.giveBack([first.delivery])
        }
        let members = adopted?.members ?? []
        if !members.contains(where: { $0.delivery.token == first.delivery.token }) { try await letGo([first]) }
        guard let adopted, !members.isEmpty else { return }
        fetcher.noteAdopted(members.count { $0.delivery.token != first.delivery.token })
        client.logger.info("batch \(first.task.batch): took over a bulk with \(members.count) tasks")
        try await run(members, adopted.bulk, resuming: adopted.memo, executor)
    }

    // MARK: Running

    /// A task whose attempt ended without an output.
    private struct Ended {
        let position: Int
        let result: AttemptResult
        var beginning = Moment()
    }

    private func run(
        _ members: [Assignment],
        _ bulk: HeldBulk,
        resuming memo: BulkMemo?,
        _ executor: TaskExecutor
    ) async throws {
        guard let first = members.first else { return }
        ledger.gathering.occupy(1)
        defer { ledger.gathering.occupy(-1) }
        fetcher.reviewSoon()
        let (events, continuation) = AsyncStream.makeStream(of: Ended.self)
        let (control, progress) = (AttemptControl(), BulkProgress(members, memo: memo))
        var tasks: [Int: FlowTask] = [:]
        for (position, member) in members.enumerated() {
            do throws(FlowError) {
                tasks[position] = try executor.flowTask(of: member)
            } catch {
                _ = progress.report(position)
                continuation.yield(Ended(position: position, result: .failure(error)))
            }
        }
        let handed = tasks
        executor.noteBeginning(of: handed.keys.sorted().map { members[$0] })
        executor.setAttempt(of: members) {
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
            var positions = handed.keys.sorted()
            while !positions.isEmpty, !control.isEnded, !Task.isCancelled {
                // After a pause that its provider asked for, it begins anew.
                let (handedNow, beginning) = (positions, Moment())
                let rest = await first.definition.attempt(
                    bulk: handedNow.compactMap { handed[$0] },
                    resuming: progress.memo,
                    recorder: recorder(of: bulk, members)
                ) { memo in
                    do {
                        let ended = try await leases.remember(memo, of: bulk) { progress.unreported }
                        progress.remember(memo)
                        try await letGo(progress.drop(ended))
                    } catch {
                        progress.fail(error)
                        throw error
                    }
                } ended: { place, result in
                    let position = handedNow[place]
                    if case .throttled(let throttle) = result { return progress.throttle(position, throttle) }
                    guard progress.report(position) else { return }
                    if case .success(let output) = result {
                        progress.end(position)
                        executor.succeed(members[position], output, beginning)
                    } else {
                        continuation.yield(Ended(position: position, result: result, beginning: beginning))
                    }
                }
                let throttled = progress.takeThrottled()
                positions = throttled.positions
                guard rest.isEmpty, let throttle = throttled.throttle else { break }
                await wait(throttle, positions.map { members[$0] }, begun: beginning.instant, executor)
            }
            continuation.finish()
        }
        var failure: (any Error)?
        do {
            try await control.run(attempts, events) { event in
                if Task.isCancelled { return }
                try await executor.conclude(members[event.position], event.result, event.beginning)
                progress.end(event.position)
            }
        } catch {
            failure = error
        }
        try await leave(members, bulk, progress, failure ?? progress.failure, executor)
    }

    /// Records what becomes of the submissions of a bulk.
    private func recorder(of bulk: HeldBulk, _ members: [Assignment]) -> BulkRecorder? {
        members.first.map { BulkRecorder(log: submissions, bulk: bulk.id, batch: bulk.batch, flow: $0.task.flow) }
    }

    /// Waits as long as the provider asks for, in the slot: the bulk stays together.
    private func wait(
        _ throttle: FlowThrottle,
        _ assignments: [Assignment],
        begun start: ContinuousClock.Instant,
        _ executor: TaskExecutor
    ) async {
        guard let key = assignments.first?.definition.rateLimitKey else { return }
        do {
            try await executor.pauseService(for: assignments, throttle, begun: start)
            while let end = limits[key].pause() { try await Task.sleep(until: end, clock: .continuous) }
        } catch {
            // It is cancelled, which the caller notices.
            client.logger.debug("a bulk no longer waits for \(key): \(error)")
        }
    }

    // MARK: Leaving

    /// Decides about the tasks that have no result after the flow has ended.
    private func leave(
        _ members: [Assignment],
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
            return try await letGo(open)
        default: break
        }
        guard let first = open.first else {
            if let failure, !(failure is CancellationError) { throw failure }
            return
        }
        if progress.isCancelled {
            if let memo, let flow = first.definition.bulkFlow {
                let recorder = recorder(of: bulk, members)
                await Task { await flow.discard(memo, recordingTo: recorder) }.value
            }
            for assignment in open { try await executor.conclude(assignment, .cancelled, progress.beginning) }
        } else if memo != nil {
            // This worker may receive the task that stands for the bulk, which must not be taken for a copy then.
            ledger.withLock { [open] in _ = $0.close(open.map(\.delivery)) }
            await leases.handOver(bulk, by: first.task)
            lifecycle.noteReturned(open.map(\.delivery))
            try await letGo(open)
        } else if !Task.isCancelled, failure == nil || failure is CancellationError {
            // Otherwise, the end of the worker returns them.
            try await fetcher.giveBack(open.map(\.delivery))
        }
        if let failure, !(failure is CancellationError) { throw failure }
    }

    /// Forgets tasks that the results log has elsewhere.
    ///
    /// A later delivery may be that of the task itself, after it was returned, or may stand for a bulk.
    private func letGo(_ assignments: [Assignment]) async throws {
        let (settler, fetcher, deliveries) = (settler, fetcher, assignments.map(\.delivery))
        let later = ledger.withLock { $0.detach(deliveries) }
        try await withoutCancellation {
            try await settler.settle(deliveries, as: .acknowledged)
            if !later.isEmpty { try await fetcher.giveBack(later) }
        }
    }
}

/// What is known of the tasks of a bulk while its flow runs.
private final class BulkProgress: Sendable {
    private struct State {
        var memo: BulkMemo?
        /// The positions without a result of the flow.
        var unreported: Set<Int>
        /// The positions whose result was not handled yet.
        var open: Set<Int>
        var throttled: [Int] = []
        var throttle: FlowThrottle?
        var failure: (any Error)?
        var isCancelled = false
    }

    let beginning = Moment()
    private let members: [Assignment]
    private let state: Mutex<State>

    init(_ members: [Assignment], memo: BulkMemo?) {
        self.members = members
        state = Mutex(State(memo: memo, unreported: Set(members.indices), open: Set(members.indices)))
    }

    /// The newest memo that is stored.
    var memo: BulkMemo? { state.withLock { $0.memo } }
    /// Why a memo could not be stored.
    var failure: (any Error)? { state.withLock { $0.failure } }
    /// Whether the batch was cancelled.
    var isCancelled: Bool { state.withLock { $0.isCancelled } }
    /// The tasks without a result.
    var unreported: [Assignment] { state.withLock { state in state.unreported.map { members[$0] } } }
    /// The positions of the tasks whose result was not handled.
    var open: [Int] { state.withLock { $0.open.sorted() } }

    func remember(_ memo: BulkMemo) { state.withLock { $0.memo = memo } }
    func fail(_ error: any Error) { state.withLock { $0.failure = error } }
    func cancel() { state.withLock { $0.isCancelled = true } }
    /// Records that a task has a result; returns false if it needs none, because it has an outcome already.
    func report(_ position: Int) -> Bool { state.withLock { $0.unreported.remove(position) != nil } }
    func end(_ position: Int) { state.withLock { _ = $0.open.remove(position) } }

    /// Records that tasks have outcomes already; returns those that had no result meanwhile.
    func drop(_ ended: [Assignment]) -> [Assignment] {
        let tokens = Set(ended.map(\.delivery.token))
        return state.withLock { state in
            let dropped = state.unreported.filter { tokens.contains(members[$0].delivery.token) }
            state.unreported.subtract(dropped)
            state.open.subtract(dropped)
            return dropped.map { members[$0] }
        }
    }

    /// Records that a task has to wait because the provider asked for a pause.
    func throttle(_ position: Int, _ throttle: FlowThrottle) {
        state.withLock { state in
            state.throttled.append(position)
            state.throttle = throttle
        }
    }

    /// Returns which tasks have to wait since the last call, and why.
    func takeThrottled() -> (positions: [Int], throttle: FlowThrottle?) {
        state.withLock { state in
            defer { (state.throttled, state.throttle) = ([], nil) }
            return (state.throttled.filter(state.unreported.contains).sorted(), state.throttle)
        }
    }
}
