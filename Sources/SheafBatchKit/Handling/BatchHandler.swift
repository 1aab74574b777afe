public import Logging
public import ServiceLifecycle
public import SheafBatches
import SheafBroker
public import SheafCore
public import SheafFlows

/// Runs batches, several at once, and passes each to a function when it has ended.
///
/// A batch leaves the queue only after the function has returned. If the function throws, or the process dies, the
/// function is called again, so it must be safe to call twice for one batch. It is called for one batch at a time.
/// Batches that were stopped, cancelled or deleted go to a second function instead of ending silently.
///
/// Several processes may run a handler with the same name on the same broker: one handles batches, and another takes
/// over when that one ends. Any process may add batches.
public final class BatchHandler: Service {
    /// Processes a batch that has ended.
    public typealias Function = @Sendable (HandledBatch) async throws -> Void

    /// The connection to the broker.
    public let client: SheafClient
    /// The name, which handlers share that do the same.
    public let name: Name
    /// The flow of the batches.
    public let flow: Name
    let configuration: Configuration
    let queue: any BatchQueue
    let storage: (any BatchStorage)?
    let changed = Changes()

    /// What a handler runs, and how.
    struct Configuration: Sendable {
        var definition: FlowDefinition
        var options: BatchOptions
        var maximumRunning: Int
        var concurrency: Int
        var interval: Duration
        var retryDelay: (first: Duration, longest: Duration)
        var logger: Logger
        var process: Function
        var fail: Function
    }

    /// How often a handler looks at its queue at least, if nothing notifies it.
    private static let longestInterval = Duration.seconds(5)

    /// Creates a handler of batches of any flow.
    ///
    /// - Parameters:
    ///   - client: The connection to the broker.
    ///   - name: The name of the handler's queue.
    ///   - definition: The flow that the batches are of.
    ///   - options: The options of batches that are added as requests.
    ///   - maximumRunning: How many batches run at once in this process.
    ///   - concurrency: The most tasks, or submissions in bulk, of each batch that run at once in this process.
    ///   - retryDelay: The time until a function that threw is called again; it doubles up to the longest.
    ///   - queue: Keeps which batches have to be processed; nil means a ``BrokerBatchQueue``.
    ///   - storage: Keeps the requests of batches that have not started; nil means the broker.
    ///   - logger: The log.
    ///   - onFailure: Is called for batches that were stopped, cancelled or deleted; by default, they are logged.
    ///   - process: Is called for batches that have completed, although requests of theirs may have failed.
    public init(
        client: SheafClient,
        name: Name,
        definition: FlowDefinition,
        options: BatchOptions = BatchOptions(),
        maximumRunning: Int = 4,
        concurrency: Int = 5,
        retryDelay: (first: Duration, longest: Duration) = (.seconds(1), .seconds(300)),
        queue: (any BatchQueue)? = nil,
        storage: (any BatchStorage)? = nil,
        logger: Logger = Logger(label: "sheaf"),
        onFailure: Function? = nil,
        process: @escaping Function
    ) {
        self.client = client
        self.name = name
        self.flow = definition.name
        self.queue = queue ?? BrokerBatchQueue(client: client, name: name)
        self.storage = storage
        configuration = Configuration(
            definition: definition,
            options: options,
            maximumRunning: max(1, maximumRunning),
            concurrency: concurrency,
            interval: Self.longestInterval,
            retryDelay: retryDelay,
            logger: logger,
            process: process,
            fail: onFailure ?? { batch in
                logger.error("batch '\(batch.id)' is not processed: \(batch.failure?.description ?? "it has failed")")
            }
        )
    }

    /// Creates a handler of batches that a model runs through its provider's batch API.
    ///
    /// - Parameters:
    ///   - client: The connection to the broker.
    ///   - name: The name of the handler's queue, and of the flow of its batches.
    ///   - model: The model.
    ///   - waitTime: The longest time between two looks at a batch that the provider runs.
    ///   - bulk: The other options of such batches; its own `waitTime` does not count.
    ///   - options: The options of batches that are added as requests.
    ///   - maximumRunning: How many batches run at the provider at once.
    ///   - retryDelay: The time until a function that threw is called again; it doubles up to the longest.
    ///   - queue: Keeps which batches have to be processed; nil means a ``BrokerBatchQueue``.
    ///   - storage: Keeps the requests of batches that have not started; nil means the broker.
    ///   - logger: The log.
    ///   - onFailure: Is called for batches that were stopped, cancelled or deleted; by default, they are logged.
    ///   - process: Is called for batches that have completed, although requests of theirs may have failed.
    /// - Throws: ``SheafError`` with `invalid` if the model or its provider cannot be used.
    public convenience init(
        client: SheafClient,
        name: Name,
        model: BatchModel,
        waitTime: Duration = .seconds(60),
        bulk: BulkOptions = BulkOptions(),
        options: BatchOptions = BatchOptions(),
        maximumRunning: Int = 4,
        retryDelay: (first: Duration, longest: Duration) = (.seconds(1), .seconds(300)),
        queue: (any BatchQueue)? = nil,
        storage: (any BatchStorage)? = nil,
        logger: Logger = Logger(label: "sheaf"),
        onFailure: Function? = nil,
        process: @escaping Function
    ) throws {
        var bulk = bulk
        bulk.waitTime = max(waitTime, .milliseconds(100))
        self.init(
            client: client,
            name: name,
            definition: try model.definition(name: name, mode: .bulk(bulk)),
            options: options,
            maximumRunning: maximumRunning,
            concurrency: 1,
            retryDelay: retryDelay,
            queue: queue,
            storage: storage,
            logger: logger,
            onFailure: onFailure,
            process: process
        )
    }

    // MARK: Adding

    /// Adds a batch of requests, and returns its id once all of it is stored.
    ///
    /// - Parameters:
    ///   - requests: The requests, each with an id of its own.
    ///   - id: The id of the batch, or nil to generate one. A call that failed can be repeated with the same id and the
    ///     same requests.
    /// - Throws: ``SheafError`` with `invalid` if the requests are unusable, and `alreadyExists` if the id belongs to
    ///   another batch; the errors of the storage and the queue.
    @discardableResult
    public func add(_ requests: [BatchRequest], id: Name? = nil) async throws -> Name {
        var generator = SystemRandomNumberGenerator()
        let id = id ?? Name.newBatch(at: .now, using: &generator)
        let records = try requests.records()
        if let storage {
            try await storage.save(requests, of: id)
        } else {
            _ = try await client.createOnce(plan(id), records)
        }
        try await enqueue(id)
        return id
    }

    /// Adds a batch that exists on the broker or in the storage, whatever its state; it may have ended.
    ///
    /// - Throws: ``SheafError`` with `notFound` if there is no such batch, and `invalid` if it is of another flow.
    public func add(_ batch: Name) async throws {
        do {
            let found = try await client.batch(batch.text).info.flow
            guard found == flow else {
                throw SheafError(.invalid, "batch '\(batch)' is of flow '\(found)'; handler '\(name)' runs '\(flow)'")
            }
        } catch let error as SheafError where error.code == .notFound {
            guard try await storage?.load(batch) != nil else { throw error }
        }
        try await enqueue(batch)
    }

    /// Returns the batches that were added and not processed yet, in the order in which they were added.
    public func unfinished() async throws -> [Name] { try await queue.unfinished() }

    func enqueue(_ batch: Name) async throws {
        try await queue.add([batch])
        changed.notify()
    }

    func plan(_ id: Name) -> BatchPlan {
        BatchPlan(flow: flow, id: id, options: configuration.options, source: "requests of \(name)")
    }

    // MARK: Running

    /// Runs and processes batches until the service group shuts down or the task is cancelled.
    ///
    /// At a shutdown, batches stop running as those of a worker do, and a function that is running is waited for.
    public func run() async throws { try await HandlerRun(self).run() }
}
