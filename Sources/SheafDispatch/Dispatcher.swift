public import Logging
public import ServiceLifecycle
public import SheafBatches
package import SheafCore
import SheafSources

/// Puts the requests of a queue into batches of a flow.
///
/// A batch closes when enough requests wait, or when the oldest has waited long enough. Both are derived from what the
/// queue holds at each look, so a dispatcher that starts late does at once what is due. A request leaves the queue after
/// its batch is confirmed. If the dispatcher dies in between, the next one completes the same batch.
public final class Dispatcher: Service {
    private let client: SheafClient
    private let queue: any RequestQueue
    private let plan: BatchPlan
    private let rules: DispatchRules
    private let interval: Duration
    private let clock: @Sendable () -> Timestamp
    private let logger: Logger
    private let onBatch: @Sendable (CreatedBatch) -> Void

    /// The tag of batches whose value is the name of the dispatcher.
    static let tag = "dispatch"
    /// How long a dispatcher waits before it looks whether another one still decides.
    private static let standby = Duration.seconds(2)
    /// How often a dispatcher asks the queue for everything new, at most.
    private static let updateInterval = Duration.seconds(10)

    /// Creates a dispatcher.
    ///
    /// - Parameters:
    ///   - client: Creates the batches.
    ///   - queue: Where the requests come from; the dispatcher does not close it.
    ///   - plan: The flow and the options of the batches; its id does not count.
    ///   - rules: When a batch closes.
    ///   - interval: How often the age of requests is looked at.
    ///   - onBatch: Called after each batch.
    public convenience init(
        client: SheafClient,
        queue: any RequestQueue,
        plan: BatchPlan,
        rules: DispatchRules = DispatchRules(),
        interval: Duration = .seconds(600),
        logger: Logger = Logger(label: "sheaf"),
        onBatch: @escaping @Sendable (CreatedBatch) -> Void = { _ in }
    ) {
        self.init(
            client: client,
            queue: queue,
            plan: plan,
            rules: rules,
            interval: interval,
            clock: { .now },
            logger: logger,
            onBatch: onBatch
        )
    }

    /// Creates a dispatcher with a clock of its own.
    package init(
        client: SheafClient,
        queue: any RequestQueue,
        plan: BatchPlan,
        rules: DispatchRules,
        interval: Duration,
        clock: @escaping @Sendable () -> Timestamp,
        logger: Logger = Logger(label: "sheaf"),
        onBatch: @escaping @Sendable (CreatedBatch) -> Void = { _ in }
    ) {
        self.client = client
        self.queue = queue
        self.plan = plan
        self.rules = rules
        self.interval = interval
        self.clock = clock
        self.logger = logger
        self.onBatch = onBatch
    }

    /// Dispatches until the task is cancelled or the service group shuts down.
    ///
    /// Errors are logged and the work is tried again.
    public func run() async throws {
        do {
            try await cancelWhenGracefulShutdown { try await self.dispatch() }
        } catch is CancellationError {
            try Task.checkCancellation()  // after a graceful shutdown the task itself is not cancelled
        }
    }

    private func dispatch() async throws {
        let (wakes, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { [interval] in
                while true {
                    continuation.yield()
                    try await Task.sleep(for: interval)
                }
            }
            group.addTask { [queue] in
                for await _ in await queue.changes() { continuation.yield() }
            }
            var state = Looking()
            for await _ in wakes { try await look(&state) }
            try Task.checkCancellation()
        }
    }

    private struct Looking {
        var backoff = Backoff(first: .milliseconds(250), ceiling: .seconds(30))
        var updated: ContinuousClock.Instant?
    }

    /// Looks once; after an error, waits before it returns.
    private func look(_ state: inout Looking) async throws {
        do {
            // What was added is usually known from the queue's own notifications.
            if state.updated.map({ .now - $0 >= max(interval, Self.updateInterval) }) ?? true {
                try await queue.update()
                state.updated = .now
            }
            try await look()
            state.backoff.reset()
        } catch let error as RequestQueueError where error.code == .busy {
            try await Task.sleep(for: Self.standby)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            logger.error("cannot dispatch requests of '\(queue.name)': \(error); trying again")
            state.updated = nil
            try await state.backoff.pause()
        }
    }

    /// Creates a batch for each group that is due; returns when no group is.
    ///
    /// - Returns: The batches.
    /// - Throws: ``RequestQueueError`` with `busy` if another process dispatches, errors of the queue, and errors of
    ///   creating a batch; the next look continues with the same group.
    @discardableResult
    public func look() async throws -> [CreatedBatch] {
        var created: [CreatedBatch] = []
        while let group = try await queue.claim(rules, at: clock()) {
            if let batch = try await create(group) {
                created.append(batch)
                onBatch(batch)
            }
            try await queue.finish(group)
        }
        return created
    }

    /// Creates the batch of a group, or completes it; returns nil if it was cancelled or deleted.
    private func create(_ group: RequestGroup) async throws -> CreatedBatch? {
        var plan = plan
        plan.id = group.batch
        plan.options.tags[Self.tag] = queue.name.text
        if let key = group.key, Tags.problem(of: ["key": key]) == nil { plan.options.tags["key"] = key }
        if plan.source.isEmpty { plan.source = "requests of \(queue.name)" }
        let arguments = SharedArguments(group.arguments)
        do {
            return try await client.create(plan, from: items(of: group, from: 0, arguments))
        } catch let error as SheafError where error.code == .alreadyExists {
            return try await complete(group, arguments, or: error)
        } catch let error as SheafError where error.code == .cancelled {
            logger.warning("batch '\(group.batch)' was cancelled while its requests were published")
            return nil
        }
    }

    private func complete(
        _ group: RequestGroup,
        _ arguments: SharedArguments,
        or original: SheafError
    ) async throws -> CreatedBatch? {
        do {
            return try await client.resume(group.batch, publishTimeout: plan.publishTimeout) { position in
                try await self.items(of: group, from: position, arguments)
            }
        } catch let error as SheafError where [.cancelled, .alreadyFinished].contains(error.code) {
            logger.warning("batch '\(group.batch)' has ended before all its requests were published: \(error)")
            return nil
        } catch let error as SheafError where error.code == .notFound {
            // It was deleted, unless another process has just begun to create it.
            guard original.advice == .chooseAnotherID else { throw original }
            logger.warning("batch '\(group.batch)' was deleted before all its requests were published")
            return nil
        }
    }

    private func items(
        of group: RequestGroup,
        from position: Int,
        _ arguments: SharedArguments
    ) async throws -> AsyncMapSequence<AsyncThrowingStream<[SourceItem], any Error>, [SourceItem]> {
        try await queue.requests(of: group, from: position).map { $0.map(arguments.apply(to:)) }
    }
}
