import Logging
public import ServiceLifecycle
public import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// Takes tasks from the broker and runs them, at most N at a time.
///
/// Run it by itself, or in a `ServiceGroup`. After a graceful shutdown it takes no more tasks, and running tasks may
/// continue for ``WorkerConfiguration/grace``. Cancelling the task that runs it returns its tasks to the queue at
/// once. A worker also stands by as aggregator.
public final class Worker: Service {
    private let client: SheafClient
    private let configuration: WorkerConfiguration
    private let lifecycle: WorkerLifecycle

    /// Creates a worker.
    public init(client: SheafClient, configuration: WorkerConfiguration) {
        self.client = client
        self.configuration = configuration
        lifecycle = WorkerLifecycle(observer: configuration.observer)
    }

    /// What it has done so far.
    public var report: WorkerReport { lifecycle.report }

    /// Works until its configuration tells it to leave, or it is shut down; throws what keeps it from working at all.
    @concurrent
    public func run() async throws {
        try await withGracefulShutdownHandler {
            try await work()
        } onGracefulShutdown: { [lifecycle] in
            lifecycle.leave(shuttingDown: true)
        }
    }

    private func work() async throws {
        let journal = try await Journal.read(from: client)
        if let batch = configuration.batch { _ = try journal.find(batch.text) }
        let limits = RateLimits(client: client, worker: configuration.name, timing: configuration.timing)
        try await limits.catchUp()
        let mint = TokenMint(client: client, limits: limits)
        for limit in configuration.rateLimits { try await mint.establish(limit) }
        let context = WorkerContext(
            client: client,
            configuration: configuration,
            journal: journal,
            limits: limits,
            lifecycle: lifecycle
        )
        let parts = WorkerParts(context, mint: mint)
        let result = await withTaskCancellationHandler {
            await Self.catching { try await run(parts, context) }
        } onCancel: {
            context.closeInboxes()
        }
        context.closeInboxes()
        // Even after an error, nothing is tried for long from now on.
        lifecycle.leave()
        let end = await Self.catching { try await withoutCancellation { try await parts.wrapUp() } }
        let isConfirmed = await parts.heartbeats.reportNothing()
        try result.get()
        try end.get()
        try Task.checkCancellation()
        // The last heartbeat shows that the broker could be reached until the end.
        if isConfirmed { lifecycle.noteDrained() }
    }

    private func run(_ parts: WorkerParts, _ context: WorkerContext) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await context.journal.run() }
            group.addTask { try await parts.aggregator.run() }
            group.addTask { try await context.limits.run() }
            for gate in parts.gates { group.addTask { try await gate.run() } }
            group.addTask { try await parts.heartbeats.run() }
            if let reporter = LoadReporter(context) { group.addTask { try await reporter.run() } }
            group.addTask { try await parts.writer.run() }
            group.addTask { try await parts.fetcher.run() }
            group.addTask { try await parts.puller.run() }
            group.addTask { try await parts.keeper.run() }
            for _ in 0..<context.configuration.concurrency {
                group.addTask { try await parts.executor.run(context.inbox) }
                group.addTask { try await parts.executor.run(context.takeOvers) }
            }
            group.addTask {
                try await parts.condition.reach()
                context.lifecycle.leave()
                try await parts.fetcher.stop()
                await context.ledger.waitUntilEmpty()
                try Task.checkCancellation()
                context.lifecycle.noteEmpty()
            }
            if let grace = context.configuration.grace {
                group.addTask {
                    await context.lifecycle.waitUntilShuttingDown()
                    try await Task.sleep(for: grace)
                    context.client.logger.warning(
                        "\(context.ledger.count) tasks have not ended within \(grace) and return to their queues"
                    )
                }
            }
            // Nothing else ends by itself, so the first to end has met the condition, has waited long enough, or has
            // failed.
            defer {
                group.cancelAll()
                context.closeInboxes()
            }
            try await group.next()
        }
    }

    private static func catching(_ body: () async throws -> Void) async -> Result<Void, any Error> {
        do {
            return .success(try await body())
        } catch {
            return .failure(error)
        }
    }
}

/// What every part of a worker uses.
struct WorkerContext: Sendable {
    let client: SheafClient
    let configuration: WorkerConfiguration
    let journal: Journal
    let limits: RateLimits
    let lifecycle: WorkerLifecycle
    let ledger: SharedTaskLedger
    let inbox = TaskInbox()
    /// Tasks that each stand for a bulk, which runs beside the slots.
    let takeOvers = TaskInbox()
    let followers: FoldFollowers
    let submissions: SubmissionLog

    init(
        client: SheafClient,
        configuration: WorkerConfiguration,
        journal: Journal,
        limits: RateLimits,
        lifecycle: WorkerLifecycle
    ) {
        self.client = client
        self.configuration = configuration
        self.journal = journal
        self.limits = limits
        self.lifecycle = lifecycle
        ledger = SharedTaskLedger(changed: lifecycle.changed)
        followers = FoldFollowers(client: client, journal: journal)
        submissions = SubmissionLog(client: client, worker: configuration.name, timing: configuration.timing)
    }

    /// How long its parts wait for what.
    var timing: WorkerTiming { configuration.timing }

    /// Lets no more tasks begin.
    func closeInboxes() {
        inbox.close()
        takeOvers.close()
    }
}

/// The parts of a worker, wired together.
private struct WorkerParts: Sendable {
    let gates: [RateGate]
    let writer: OutcomeWriter
    let fetcher: TaskFetcher
    let puller: TaskPuller
    let keeper: LeaseKeeper
    let heartbeats: HeartbeatSender
    let aggregator: Aggregator
    let condition: StopCondition
    let executor: TaskExecutor
    private let settler: TaskSettler
    private let context: WorkerContext

    init(_ context: WorkerContext, mint: TokenMint) {
        self.context = context
        let scope = FetchScope(context)
        let permits = PermitPool(context)
        settler = TaskSettler(context, permits: permits)
        writer = OutcomeWriter(context, settler: settler)
        fetcher = TaskFetcher(context, scope: scope, settler: settler)
        if context.configuration.maxTasks != nil {
            settler.beforeSettling { [fetcher] in try await fetcher.willSettle($0) }
        }
        puller = TaskPuller(context, scope: scope, fetcher: fetcher, permits: permits)
        keeper = LeaseKeeper(context, settler: settler, fetcher: fetcher, permits: permits)
        heartbeats = HeartbeatSender(context)
        gates = context.configuration.rateLimits.map { RateGate(context, mint: mint, limit: $0) }
        aggregator = Aggregator(client: context.client, journal: context.journal)
        condition = StopCondition(context, scope: scope)
        executor = TaskExecutor(context, writer: writer, settler: settler, fetcher: fetcher, keeper: keeper)
    }

    /// Leaves nothing uncertain, whatever the reason to leave: what is done is written, and the rest returns to its
    /// queues.
    func wrapUp() async throws {
        // If the broker takes nothing even now, it delivers the tasks to other workers when the connection ends.
        let flush = await Task { [writer, context] in
            try await within(context.timing.lastPatience) { try await writer.flush() }
        }.result
        try await fetcher.stop()
        let (confirmed, unfinished) = context.ledger.withLock { $0.leftovers }
        try await settler.settle(confirmed, as: .acknowledged)
        context.lifecycle.noteReturned(unfinished)
        try await settler.giveBack(unfinished)
        await keeper.release()
        _ = try flush.get()
    }
}

/// Reports which tasks the worker runs: every second, soon after that changes, and now and then while it is idle.
private struct HeartbeatSender: Sendable {
    private let client: SheafClient
    /// What all heartbeats of the worker have in common.
    private let idle: Heartbeat
    private let ledger: SharedTaskLedger
    private let inbox: TaskInbox
    private let limits: RateLimits
    private let timing: WorkerTiming

    init(_ context: WorkerContext) {
        self.client = context.client
        self.idle = Heartbeat(
            worker: context.configuration.name,
            running: [:],
            host: hostName,
            slots: context.configuration.concurrency,
            flows: context.configuration.flows.map(\.name)
        )
        self.ledger = context.ledger
        self.inbox = context.inbox
        self.limits = context.limits
        self.timing = context.configuration.timing
    }

    /// Reports until cancelled.
    func run() async throws {
        var sent: Heartbeat?
        var sentAt = ContinuousClock.now
        while true {
            try await Task.sleep(for: timing.heartbeatLook)
            let heartbeat = current
            let interval = heartbeat == idle ? Heartbeat.idleInterval : timing.heartbeatInterval
            guard heartbeat != sent || .now - sentAt >= interval else { continue }
            do {
                try await client.broker.append(heartbeat.message, to: client.names.heartbeats)
                sent = heartbeat
                sentAt = .now
            } catch let error as BrokerError where error.isRetryable {
                client.logger.debug("cannot send a heartbeat: \(error)")
            }
        }
    }

    /// Reports that nothing runs, so that readers need not wait until this worker is forgotten; returns false if the
    /// broker did not confirm it.
    func reportNothing() async -> Bool {
        var heartbeat = idle
        heartbeat.hasLeft = true
        do {
            try await withoutCancellation { [heartbeat] in
                try await client.broker.append(heartbeat.message, to: client.names.heartbeats)
            }
            return true
        } catch {
            client.logger.debug("cannot send the last heartbeat: \(error)")
            return false
        }
    }

    private var current: Heartbeat {
        let limited = inbox.limited.mapValues { key, tasks in
            let left = limits[key].pause().map { $0 - .now }
            return RateLimitWait(key: key, tasks: tasks, until: left.map { Timestamp.now + $0 })
        }
        var heartbeat = idle
        heartbeat.limited = limited
        (heartbeat.running, heartbeat.bulks, heartbeat.waiting) = ledger.withLock {
            ($0.runningTasks, $0.runningBulks, $0.waitingCounts)
        }
        return heartbeat
    }
}

/// Notifies the observer at intervals of what the worker holds.
///
/// It performs no I/O, so it goes on while the broker does not answer.
private struct LoadReporter: Sendable {
    private let observer: any WorkerObserver
    private let context: WorkerContext

    /// Creates a reporter; returns nil if the worker has no observer.
    init?(_ context: WorkerContext) {
        guard let observer = context.configuration.observer else { return nil }
        self.observer = observer
        self.context = context
    }

    /// Reports until cancelled.
    func run() async throws {
        while true {
            observer.loadMeasured(load)
            try await Task.sleep(for: context.timing.heartbeatLook)
        }
    }

    private var load: WorkerLoad {
        var running: [Name: Int] = [:]
        for (batch, count) in context.ledger.withLock({ $0.runningCounts }) {
            if let flow = context.journal[batch]?.flow { running[flow, default: 0] += count }
        }
        return WorkerLoad(
            slots: context.configuration.concurrency,
            running: running,
            awaitedLimits: Set(context.inbox.limited.values.map(\.key)),
            isLeaving: context.lifecycle.isLeaving
        )
    }
}
