public import Logging
public import ServiceLifecycle
public import SheafBatches
import SheafBroker
public import SheafCore
import SheafFlows
import SheafSources
import SheafWorker

/// Submits requests to a model as jobs, and returns their results later, after a restart too.
///
/// The broker is the store. A manager works on its jobs while it is run as a service, or inside
/// ``withManager(model:mode:store:name:concurrency:logger:_:)``; without that it only submits and reads. Any number of
/// programs may use one store: each job is worked on by those whose managers have the same flow.
public final class BatchManager: Service {
    /// The connection to the store.
    public let client: SheafClient
    /// The name of the flow whose batches are the jobs.
    public let flow: Name
    private let definition: FlowDefinition
    private let concurrency: Int
    private let errorPolicy: ErrorPolicy

    /// Creates a manager of the jobs of any flow.
    ///
    /// - Parameters:
    ///   - client: The connection to the store.
    ///   - definition: The flow that each request is a record of.
    ///   - concurrency: The most requests, or submissions in bulk, that this process works on at once.
    ///   - errorPolicy: When failed requests stop a job.
    public init(
        client: SheafClient,
        definition: FlowDefinition,
        concurrency: Int = 5,
        errorPolicy: ErrorPolicy = .continue
    ) {
        self.client = client
        self.definition = definition
        self.flow = definition.name
        self.concurrency = concurrency
        self.errorPolicy = errorPolicy
    }

    /// Creates a manager of the jobs of a model.
    ///
    /// - Parameters:
    ///   - client: The connection to the store.
    ///   - model: The model that is asked.
    ///   - mode: Whether requests are sent one by one or together.
    ///   - name: The name of the flow; by default, it is made of the API and address of the model's provider, so that
    ///     no manager works on the jobs of another provider.
    ///   - concurrency: The most requests, or submissions in bulk, that this process works on at once.
    ///   - errorPolicy: When failed requests stop a job.
    /// - Throws: ``SheafError`` with `invalid` if the model or its provider cannot be used.
    public convenience init(
        client: SheafClient,
        model: BatchModel,
        mode: BatchMode = .bulk(),
        name: Name? = nil,
        concurrency: Int = 5,
        errorPolicy: ErrorPolicy = .continue
    ) throws {
        self.init(
            client: client,
            definition: try model.definition(name: name ?? model.flowName, mode: mode),
            concurrency: concurrency,
            errorPolicy: errorPolicy
        )
    }

    /// Connects to a store, and runs the body while the manager works on its jobs.
    ///
    /// When the body has returned, what runs may end within ``WorkerConfiguration/defaultGrace``. Jobs that have not
    /// ended go on when the next manager runs on the same store.
    ///
    /// - Parameters:
    ///   - model: The model that is asked.
    ///   - mode: Whether requests are sent one by one or together.
    ///   - store: The broker, such as `.embedded(directory: "batches")`; nil means a temporary folder, which is removed.
    ///   - name: The name of the flow; see ``init(client:model:mode:name:concurrency:errorPolicy:)``.
    ///   - concurrency: The most requests, or submissions in bulk, that this process works on at once.
    ///   - logger: The log.
    public static func withManager<Result: Sendable>(
        model: BatchModel,
        mode: BatchMode = .bulk(),
        store: BrokerReference? = nil,
        name: Name? = nil,
        concurrency: Int = 5,
        logger: Logger = Logger(label: "sheaf"),
        _ body: (BatchManager) async throws -> Result
    ) async throws -> Result {
        try await TemporaryStore.with(unless: store) { store in
            try await SheafClient.withClient(broker: store, logger: logger) { client in
                let manager = try BatchManager(
                    client: client,
                    model: model,
                    mode: mode,
                    name: name,
                    concurrency: concurrency
                )
                return try await manager.working(logger) { try await body(manager) }
            }
        }
    }

    /// Runs the body while the manager works.
    private func working<Result: Sendable>(
        _ logger: Logger,
        _ body: () async throws -> Result
    ) async throws -> Result {
        let services = ServiceGroup(services: [self], logger: logger)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await services.run()
                } catch let error as ServiceGroupError where error.errorCode == .alreadyFinished {
                    // The body was done before the manager could begin.
                }
            }
            let result = try await body()
            await services.triggerGracefulShutdown()
            try await group.waitForAll()
            return result
        }
    }

    /// Works on the jobs of the flow until the service group shuts down or the task is cancelled.
    public func run() async throws {
        try await Worker(client: client, configuration: .only(definition, concurrency: concurrency)).run()
    }

    // MARK: Submitting

    /// Submits requests as a job, and returns once all of them are stored.
    ///
    /// - Parameters:
    ///   - requests: The requests, each with an id of its own.
    ///   - id: The id of the job, or nil to generate one. A call that failed or was interrupted can be repeated with the
    ///     same id and the same requests, and then completes the job or returns it.
    ///   - tags: Tags of the job, by which `sheaf list --tag` finds it.
    /// - Throws: ``SheafError`` with `invalid` if the requests are unusable, and `alreadyExists` if the id belongs to
    ///   another job; `BrokerError`.
    @discardableResult
    public func submit(
        _ requests: [BatchRequest],
        id: Name? = nil,
        tags: [String: String] = [:]
    ) async throws -> BatchJob {
        let options = BatchOptions(errorPolicy: errorPolicy, tags: tags)
        let plan = BatchPlan(flow: flow, id: id, options: options, source: "\(requests.count) requests")
        let batch = try await client.createOnce(plan, try requests.records())
        return try await job(batch)
    }

    // MARK: Looking

    /// Returns a job.
    ///
    /// - Throws: ``SheafError`` with `notFound` if no job of this manager's flow has the id.
    public func job(_ id: Name) async throws -> BatchJob {
        let summary = try await client.batch(id.text)
        guard summary.info.flow == flow else {
            throw SheafError(.notFound, "batch '\(id)' is no job of '\(flow)' but one of '\(summary.info.flow)'")
        }
        return BatchJob(summary)
    }

    /// Returns where a job is on its way; throws ``SheafError`` with `notFound`.
    public func status(of id: Name) async throws -> BatchStatus { try await job(id).status }

    /// Returns the jobs of this manager's flow, newest first.
    ///
    /// - Parameters:
    ///   - status: Only jobs with this status; nil for all.
    ///   - limit: The most jobs; nil for all.
    public func jobs(status: BatchStatus? = nil, limit: Int? = nil) async throws -> [BatchJob] {
        let jobs = try await client.batches().lazy.filter { $0.info.flow == self.flow }.map { BatchJob($0) }
        let wanted = jobs.filter { status == nil || $0.status == status }.reversed()
        return Array(wanted.prefix(limit ?? .max))
    }

    /// Waits until a job has ended, and returns it.
    ///
    /// - Throws: ``SheafError`` with `timedOut` after the timeout, `interrupted` if the job cannot end by itself, and
    ///   `notFound`.
    public func wait(for id: Name, timeout: Duration? = nil) async throws -> BatchJob {
        _ = try await job(id)
        return BatchJob(try await client.wait(for: id.text, timeout: timeout))
    }

    /// Returns the results of a job in the order of its requests: one for each request that has ended so far.
    ///
    /// Requests of a cancelled job that never ran have none.
    public func results(of id: Name) async throws -> [BatchResult] {
        _ = try await job(id)
        return try await client.batchResults(of: id)
    }

    // MARK: Changing

    /// Cancels a job: requests that wait are dropped, and running ones may finish, or are ended too with `now`.
    ///
    /// - Throws: ``SheafError`` with `alreadyFinished` if the job has ended, and `notFound`.
    @discardableResult
    public func cancel(_ id: Name, now: Bool = false) async throws -> BatchJob {
        _ = try await job(id)
        return BatchJob(try await client.cancel(id.text, now: now))
    }

    /// Sends the failed requests of a job again; their new results replace the old ones.
    ///
    /// - Returns: The job. Its status is not changed if no request has failed.
    /// - Throws: ``SheafError`` with `alreadyFinished` if the job was cancelled, and `notFound`.
    @discardableResult
    public func retryFailed(of id: Name) async throws -> BatchJob {
        _ = try await job(id)
        return BatchJob(try await client.retry(id.text).batch)
    }

    /// Returns the jobs that have not ended, oldest first; resumes those that were paused.
    ///
    /// Nothing else is needed after a restart: a manager that runs works on all of them.
    @discardableResult
    public func resume() async throws -> [BatchJob] {
        let open = try await client.batches().filter { $0.info.flow == flow && !$0.status.isFinal }
        var jobs: [BatchJob] = []
        for summary in open {
            let isPaused = summary.status == .paused
            jobs.append(BatchJob(isPaused ? try await client.resume(summary.info.id.text).batch : summary))
        }
        return jobs
    }

    /// Deletes the jobs that ended before an age, with their results, and returns their ids.
    @discardableResult
    public func cleanUp(olderThan age: Duration) async throws -> [Name] {
        let old = try await client.batches(endedBefore: .now + (.zero - age)).filter { $0.info.flow == flow }
        for summary in old { try await client.delete(summary.info.id.text) }
        return old.map(\.info.id)
    }
}

extension WorkerConfiguration {
    /// Returns the configuration of a worker for one flow, with a name that is unique in this process.
    static func only(_ definition: FlowDefinition, batch: Name? = nil, concurrency: Int) -> WorkerConfiguration {
        var configuration = WorkerConfiguration(flows: [definition], batch: batch, concurrency: max(1, concurrency))
        configuration.name += ".\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
        return configuration
    }
}
