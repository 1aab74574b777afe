import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// A time in the calendar and on the clock.
struct Moment: Sendable {
    let time = Timestamp.now
    let instant = ContinuousClock.now
}

/// Runs tasks in the slots of a worker: checks that one may begin, makes an attempt, and handles its result.
struct TaskExecutor: Sendable {
    private let client: SheafClient
    private let worker: String
    private let reader: AssignmentReader
    private let journal: Journal
    private let ledger: SharedTaskLedger
    private let lifecycle: WorkerLifecycle
    private let inbox: TaskInbox
    private let writer: OutcomeWriter
    private let settler: TaskSettler
    private let fetcher: TaskFetcher
    private let bulks: BulkExecution
    private let limits: RateLimits
    private let followers: FoldFollowers
    private let prompts: PromptQueue?
    private let observer: (any WorkerObserver)?
    private let timing: WorkerTiming

    init(
        _ context: WorkerContext,
        writer: OutcomeWriter,
        settler: TaskSettler,
        fetcher: TaskFetcher,
        keeper: LeaseKeeper
    ) {
        self.client = context.client
        self.worker = context.configuration.name
        self.reader = AssignmentReader(flows: context.configuration.flows, journal: context.journal)
        self.journal = context.journal
        self.ledger = context.ledger
        self.lifecycle = context.lifecycle
        self.inbox = context.inbox
        self.writer = writer
        self.settler = settler
        self.fetcher = fetcher
        let leases = BulkLeases(context, settler: settler, keeper: keeper)
        self.bulks = BulkExecution(context, settler: settler, fetcher: fetcher, leases: leases)
        self.limits = context.limits
        self.followers = context.followers
        self.prompts = context.configuration.prompt.map { PromptQueue($0) }
        self.observer = context.configuration.observer
        self.timing = context.configuration.timing
    }

    /// Runs one task after the other until the inbox is closed; one call for each slot.
    func run(_ inbox: TaskInbox) async throws {
        while true {
            // What waits in the inbox stays there while its outcome could not be written.
            await lifecycle.waitWhileStalled()
            guard let delivery = await inbox.next() else { return }
            await lifecycle.waitWhileStalled()
            try Task.checkCancellation()
            try await handle(delivery)
        }
    }

    private func handle(_ delivery: TaskDelivery) async throws {
        guard let first = try await begin(delivery) else { return }
        if first.definition.bulkFlow != nil, !first.isLate { return try await bulks.run(first, self) }
        guard let size = first.groupSize, size > 1 else { return try await attempt(first) }
        let (begun, uncertain) = takeMore(after: first, atMost: size - 1, isRunning: false)
        var group = [first] + begun
        for delivery in uncertain {
            if let next = try await begin(delivery) { group.append(next) }
        }
        if group.count == 1 { return try await attempt(first) }
        try await GroupExecution(executor: self, longest: timing.longestGroup).run(group)
    }

    // MARK: Beginning

    /// Lets a task begin if it may, or settles its delivery and returns nil.
    func begin(_ delivery: TaskDelivery) async throws -> Assignment? {
        let assignment: Assignment?
        do {
            assignment = try await reader.read(delivery)
        } catch let error as UnreadableMessage {
            client.logger.warning(
                "a message in queue \(delivery.home) is rejected to the dead letters: \(error)"
            )
            try await settler.settle([delivery], as: .rejected)
            return nil
        }
        guard let assignment, !assignment.isOver else {
            try await settler.settle([delivery], as: .acknowledged)
            return nil
        }
        // The job of a bulk that is taken over exists, and its flow keeps to the limit by itself.
        let isPaused = limits.isPaused(assignment.definition.rateLimitKey) && assignment.handOver == nil
        let (isStalled, candidate) = (lifecycle.isStalled, assignment.candidate)
        switch ledger.withLock({ $0.admit(candidate, isStalled: isStalled, isPaused: isPaused) }) {
        case .begin(let isFirst):
            if isFirst { writer.submitStart(of: assignment.task.batch, worker: worker) }
            return assignment
        case .acknowledge: try await settler.settle([delivery], as: .acknowledged)
        case .none: break
        case .giveBack: try await fetcher.giveBack([delivery])
        case .wait: try await waitForLimit(delivery)
        }
        return nil
    }

    /// Removes tasks from the inbox that may follow on one of the same batch.
    ///
    /// - Returns: Those that begin, and those that have to be looked at one by one.
    func takeMore(
        after first: Assignment,
        atMost count: Int,
        bytes: Int = GroupExecution.maximumBytes,
        isRunning: Bool
    ) -> (begun: [Assignment], uncertain: [TaskDelivery]) {
        let items = inbox.takeMore(of: first.delivery.batch, atMost: count, bytes: bytes, onlyBatch: isRunning)
        if items.isEmpty { return ([], []) }
        let assignments = items.map { try? reader.read($0, like: first) }
        let candidates = assignments.compactMap { $0?.candidate }
        let (isStalled, isPaused) = (lifecycle.isStalled, limits.isPaused(first.definition.rateLimitKey))
        var admissions = ledger.withLock { $0.admit(candidates, isStalled: isStalled, isPaused: isPaused) }[...]
        var (begun, uncertain): ([Assignment], [TaskDelivery]) = ([], [])
        for (item, assignment) in zip(items, assignments) {
            guard let assignment else {
                uncertain.append(item)
                continue
            }
            switch admissions.removeFirst() {
            case .begin: begun.append(assignment)
            case .none: break
            case .acknowledge, .giveBack, .wait: uncertain.append(item)
            }
        }
        return (begun, uncertain)
    }

    // MARK: Attempting

    /// Makes an attempt at a task, and handles its result.
    private func attempt(_ assignment: Assignment) async throws {
        let beginning = Moment()
        let asker = assignment.info.options.isInteractive ? asker(of: assignment) : nil
        let result: AttemptResult
        do throws(FlowError) {
            let task = try flowTask(of: assignment, asker)
            observer?.taskBegan(ObservedTask(assignment))
            // Runs on this thread until it first waits: a flow that never waits costs no switch between tasks.
            let attempt = Task.immediate { await assignment.definition.single.attempt(task) }
            setAttempt(of: [assignment]) { attempt.cancel() }
            result = await withTaskCancellationHandler {
                await attempt.value
            } onCancel: {
                attempt.cancel()
            }
        } catch {
            result = .failure(error)
        }
        if isCutOff(result) { return }
        if !result.isSuccess, let interruption = asker?.interruption {
            switch interruption {
            case .leaving: return try await fetcher.giveBack([assignment.delivery])
            case .overtaken: return try await settler.settle([assignment.delivery], as: .acknowledged)
            }
        }
        await asker?.withdraw()
        try await conclude(assignment, result, beginning)
    }

    private func asker(of assignment: Assignment) -> TaskAsker {
        TaskAsker(
            client: client,
            questions: followers[assignment.task.batch],
            task: assignment.task,
            worker: worker,
            timeout: assignment.definition.answerTimeout,
            lifecycle: lifecycle,
            prompts: prompts,
            withdrawalPatience: timing.withdrawalPatience
        )
    }

    /// Records how the attempts at tasks of one batch are cancelled, and cancels them if the batch already is.
    func setAttempt(of assignments: [Assignment], cancelledBy cancel: @escaping @Sendable () -> Void) {
        guard let first = assignments.first else { return }
        setAttempt(of: assignments.map(\.delivery), in: first.task.batch, since: first.revision, cancelledBy: cancel)
    }

    /// The same for deliveries of tasks whose batch was looked up at a revision of the journal.
    func setAttempt(
        of deliveries: [TaskDelivery],
        in batch: Name,
        since revision: Int,
        cancelledBy cancel: @escaping @Sendable () -> Void
    ) {
        ledger.withLock { $0.begin(deliveries, cancelledBy: cancel) }
        // The batch may have been cancelled since the tasks were admitted, before the ledger knew that they run.
        if journal.revision != revision, journal.isCancelledNow(batch) { cancel() }
    }

    /// Whether more tasks may be handed to a flow that runs.
    var mayContinue: Bool { !isEnding && !lifecycle.isStalled }

    /// Whether the worker takes no more tasks.
    var isEnding: Bool { Task.isCancelled || lifecycle.isLeaving }

    /// Notifies the observer that tasks begin as a group.
    func noteBeginning(of assignments: [Assignment]) {
        guard let observer else { return }
        for assignment in assignments { observer.taskBegan(ObservedTask(assignment)) }
    }

    /// Notifies the observer that tasks of a bulk begin.
    func noteBeginning(of members: [BulkMember]) throws(FlowError) {
        guard let observer else { return }
        for member in members { observer.taskBegan(ObservedTask(try member.assignment())) }
    }

    /// The task as its flow sees it; throws what is wrong with its parameters or its record.
    func flowTask(of assignment: Assignment, _ asker: TaskAsker? = nil) throws(FlowError) -> FlowTask {
        var task = try assignment.flowTask(asker)
        task.trace = assignment.task.trace
        if task.trace != nil, let observer { task.trace = observer.traceContext(for: ObservedTask(assignment)) }
        return task
    }

    // MARK: Concluding

    /// Whether an attempt has ended because the worker ends at once; the end of the worker returns the delivery.
    private func isCutOff(_ result: AttemptResult) -> Bool { Task.isCancelled && !result.isSuccess }

    /// Handles the result of an attempt.
    func conclude(_ assignment: Assignment, _ result: AttemptResult, _ beginning: Moment) async throws {
        if isCutOff(result) { return }
        switch result {
        case .success(let output): succeed(assignment, output, beginning)
        case .throttled(let throttle): try await waitForService(assignment, throttle, begun: beginning.instant)
        case .cancelled:
            var outcome = outcome(.cancelled, of: assignment, beginning)
            outcome.error = Outcome.Failure(type: FlowError.cancelledType, message: "cancelled while it ran")
            lifecycle.note { $0.cancelled += 1 }
            submit(outcome, of: assignment)
        case .failure(let error):
            limits.noteAnswer(assignment.definition.rateLimitKey, begun: beginning.instant)
            try await fail(assignment, error, outcome(.failed, of: assignment, beginning))
        }
    }

    /// Waits until there is room for the outcome of a task of a bulk, or the task is cancelled.
    func waitForRoom() async { await writer.waitForRoom() }

    /// Submits the outcome of a task that has succeeded.
    func succeed(_ assignment: Assignment, _ output: FlowOutput, _ beginning: Moment, _ end: Timestamp = .now) {
        limits.noteAnswer(assignment.definition.rateLimitKey, begun: beginning.instant)
        var outcome = outcome(.succeeded, of: assignment, beginning, end)
        outcome.output = output.json
        outcome.usage = output.usage
        lifecycle.noteSuccess()
        submit(outcome, of: assignment)
    }

    private func submit(_ outcome: Outcome, of assignment: Assignment) {
        observer?.taskEnded(ObservedTask(assignment), outcome: outcome)
        writer.submit(outcome, of: assignment.delivery, batch: assignment.task.batch)
    }

    /// The outcome of an attempt that has just ended.
    private func outcome(
        _ status: Outcome.Status,
        of assignment: Assignment,
        _ beginning: Moment,
        _ end: Timestamp = .now
    ) -> Outcome {
        let task = assignment.task
        return Outcome(
            index: task.index,
            generation: task.generation,
            status: status,
            recordID: task.record.id,
            attempts: assignment.attempts,
            startedAt: beginning.time,
            finishedAt: end,
            worker: worker,
            errors: task.errors
        )
    }

    /// Retries a task whose attempt has failed, or submits its outcome.
    private func fail(_ assignment: Assignment, _ error: FlowError, _ outcome: Outcome) async throws {
        let task = assignment.task
        let failure = AttemptError(
            attempt: assignment.attempts,
            type: error.type,
            message: error.message,
            at: outcome.finishedAt,
            worker: worker
        )
        if task.attempt <= assignment.definition.retries, assignment.definition.retryRule.allows(error) {
            return try await retry(assignment, error, failure)
        }
        var outcome = outcome
        outcome.error = Outcome.Failure(type: error.type, message: error.message)
        outcome.errors = AttemptError.bounded(task.errors + [failure])
        outcome.record = task.record
        outcome.parameters = task.parameters
        try await haltIfDecisive(task, error)
        lifecycle.note { $0.failed += 1 }
        submit(outcome, of: assignment)
    }

    /// Halts the batch if its policy requires it; before the outcome, so that no reader sees the failure without its
    /// effect.
    private func haltIfDecisive(_ task: BatchTask, _ error: FlowError) async throws {
        guard let info = journal[task.batch], info.options.errorPolicy == .stop(above: 0),
            error.type != Outcome.Failure.invalidRecord,
            ledger.withLock({ $0.halt(info.id, continuations: info.continuations) })
        else { return }
        try await retrying {
            try await journal.append(
                .stopped(reason: "task \(task.index) (\(task.record.id)) failed: \(error)"),
                to: task.batch,
                flow: task.flow
            )
        }
    }

    /// Publishes a task again with a delay that grows from attempt to attempt; confirmed before this delivery ends.
    private func retry(_ assignment: Assignment, _ error: FlowError, _ failure: AttemptError) async throws {
        let task = assignment.task
        var next = task
        next.attempt += 1
        next.errors = AttemptError.bounded(task.errors + [failure])
        var generator = SystemRandomNumberGenerator()
        let delay = assignment.definition.retryRule.delay(attempt: task.attempt, using: &generator)
        client.logger.info("task \(task.id) is retried: \(error)")
        let lease = ledger.withLock { $0.lease(of: assignment.delivery)?.id }
        writer.submitNote(ResultMessage.delayed(next, for: delay), to: task.batch)
        let queue = client.names.tasks(flow: task.flow, batch: task.batch, generation: task.generation)
        do {
            try await publish(TaskLease.returning(next.message, from: lease), to: queue, after: delay)
        } catch let error as BrokerError where error.code == .notFound {
            // The queue is gone: its batch has ended or is lost, so no worker is to run the task again.
            return try await settler.settleMoved([assignment.delivery])
        } catch let error as BrokerError {
            // Headers have a limit, and the errors of earlier attempts are not worth the task.
            guard !error.isRetryable else { throw error }
            client.logger.warning("task \(task.id) is retried without the errors of its earlier attempts: \(error)")
            next.errors = []
            try await publish(TaskLease.returning(next.message, from: lease), to: queue, after: delay)
        }
        lifecycle.note { $0.retried += 1 }
        observer?.taskRetried(ObservedTask(assignment), error: error, delay: delay)
        try await settler.settleMoved([assignment.delivery])
    }

    private func publish(_ message: Message, to queue: String, after delay: Duration) async throws {
        let broker = client.broker
        try await finishing(within: timing.lastPatience) {
            try await retrying { try await broker.publish(message, to: queue, after: delay) }
        }
    }

    // MARK: Waiting for a limit

    /// Pauses the flow's rate limit for all workers, and lets the task wait for its end as if it had never begun.
    private func waitForService(
        _ assignment: Assignment,
        _ throttle: FlowThrottle,
        begun start: ContinuousClock.Instant
    ) async throws {
        try await pauseService(for: assignment, throttle, begun: start)
        ledger.withLock { $0.deferTask(of: assignment.delivery) }
        try await waitForLimit(assignment.delivery)
    }

    /// Pauses the rate limit of a task's flow for all workers.
    private func pauseService(
        for assignment: Assignment,
        _ throttle: FlowThrottle,
        begun start: ContinuousClock.Instant
    ) async throws {
        log(throttle, "task \(assignment.task.id) waits", assignment.definition.rateLimitKey)
        observer?.taskThrottled(ObservedTask(assignment), by: assignment.definition.rateLimitKey, throttle: throttle)
        try await limits.pause(assignment.definition.rateLimitKey, for: throttle, begun: start)
    }

    /// Lets the tasks of a bulk wait, and pauses their rate limit for all workers unless only they have to wait.
    func pauseService(
        for members: [BulkMember],
        _ throttle: FlowThrottle,
        begun start: ContinuousClock.Instant
    ) async throws {
        guard let first = members.first else { return }
        let key = first.definition.rateLimitKey
        log(throttle, "\(members.count) tasks of batch \(first.batch) wait", key)
        if let observer {
            for member in members {
                observer.taskThrottled(ObservedTask(try member.assignment()), by: key, throttle: throttle)
            }
        }
        if throttle.isOwn {
            try await Task.sleep(for: throttle.delay ?? timing.servicePause.first)
        } else {
            try await limits.pause(key, for: throttle, begun: start)
        }
    }

    private func log(_ throttle: FlowThrottle, _ tasks: String, _ key: RateLimitKey) {
        let level: Logger.Level = throttle.needsPeople ? .warning : .info
        let reason = throttle.isOwn ? "" : " because the service asked \(key) to pause"
        client.logger.log(level: level, "\(tasks)\(reason): \(throttle.message)")
    }

    /// Puts a task back into the inbox, where it waits for its rate limit.
    private func waitForLimit(_ delivery: TaskDelivery) async throws {
        if let limit = delivery.limit { inbox.close(limit) }
        inbox.putBack(delivery)
        // If the pause has ended just now, the gate has to open once more.
        limits.nudge()
        try await giveBackIfLeaving([delivery])
    }

    /// Puts tasks back into the inbox that were admitted and whose turn did not come.
    func putBack(_ assignments: [Assignment]) async throws {
        if assignments.isEmpty { return }
        let deliveries = assignments.map(\.delivery)
        ledger.withLock { $0.withdraw(deliveries) }
        for delivery in deliveries.reversed() { inbox.putBack(delivery) }
        try await giveBackIfLeaving(deliveries)
    }

    /// Returns tasks to their queue if the worker leaves: what empties the inbox for the end may have done so before.
    private func giveBackIfLeaving(_ deliveries: [TaskDelivery]) async throws {
        guard lifecycle.isLeaving else { return }
        let tokens = Set(deliveries.map(\.token))
        try await fetcher.giveBack(inbox.drain { tokens.contains($0.token) })
    }
}
