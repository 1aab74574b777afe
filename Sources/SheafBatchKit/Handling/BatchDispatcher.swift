public import Logging
import OrderedCollections
public import ServiceLifecycle
import SheafBatches
public import SheafCore
public import SheafDispatch
import SheafSources

/// Puts a stream of requests into batches by number and age, and adds each batch to a ``BatchHandler``.
///
/// The same as a `Dispatcher`, in LangBatch's words. A request leaves the queue after its batch is confirmed and
/// added to the handler, so a crash in between loses nothing.
public final class BatchDispatcher: Service {
    /// What the requests in the queue are.
    public enum RequestsType: Sendable {
        /// Requests that get the shared arguments which they do not have.
        case partial
        /// Complete requests: they are sent as they are.
        case full
    }

    /// The handler that gets the batches.
    public let handler: BatchHandler
    private let dispatcher: Dispatcher
    private let queue: any RequestQueue

    /// Creates a dispatcher.
    ///
    /// - Parameters:
    ///   - handler: Gets the batches, which are of its flow.
    ///   - queue: Where the requests come from; the dispatcher does not close it.
    ///   - queueThreshold: The number of requests that makes a batch; no batch has more.
    ///   - timeThreshold: The age of the oldest request that makes a batch.
    ///   - timeInterval: How often that age is looked at; the number is looked at whenever it changes.
    ///   - requestsType: What the requests are.
    ///   - requestKwargs: The shared arguments of partial requests, such as `temperature`: an object.
    ///   - logger: The log.
    /// - Throws: ``SheafError`` with `invalid` if there are shared arguments although the requests are complete.
    public init(
        handler: BatchHandler,
        queue: any RequestQueue,
        queueThreshold: Int = 50_000,
        timeThreshold: Duration = .seconds(2 * 60 * 60),
        timeInterval: Duration = .seconds(600),
        requestsType: RequestsType = .partial,
        requestKwargs: JSONValue = [:],
        logger: Logger = Logger(label: "sheaf")
    ) throws {
        guard let arguments = requestKwargs.objectValue else {
            throw SheafError(.invalid, "requestKwargs of dispatcher '\(queue.name)' is no object")
        }
        if requestsType == .full, !arguments.isEmpty {
            throw SheafError(
                .invalid,
                "dispatcher '\(queue.name)' has requestKwargs, which complete requests do not get; use requestsType: "
                    + ".partial"
            )
        }
        self.handler = handler
        self.queue = queue
        dispatcher = Dispatcher(
            client: handler.client,
            queue: HandingQueue(inner: queue, handler: handler),
            plan: BatchPlan(flow: handler.flow, options: handler.configuration.options),
            rules: DispatchRules(
                queueThreshold: queueThreshold,
                timeThreshold: timeThreshold,
                arguments: requestKwargs
            ),
            interval: timeInterval,
            logger: logger
        )
    }

    /// Dispatches until the service group shuts down or the task is cancelled.
    public func run() async throws {
        try await dispatcher.run()
    }

    /// Makes a batch of all requests that wait now.
    public func flush() async throws { try await queue.flush() }
}

/// A queue whose requests leave it only after their batch is added to a handler.
private struct HandingQueue: RequestQueue {
    let inner: any RequestQueue
    let handler: BatchHandler

    var name: Name { inner.name }

    func finish(_ group: RequestGroup) async throws {
        // The dispatcher has confirmed the batch, and completes it again if this process ends before the next line.
        try await handler.enqueue(group.batch)
        try await inner.finish(group)
    }

    func add(_ requests: [Record]) async throws { try await inner.add(requests) }
    func waiting() async throws -> WaitingRequests { try await inner.waiting() }
    func flush() async throws { try await inner.flush() }
    func update() async throws { try await inner.update() }
    func claim(_ rules: DispatchRules, at now: Timestamp) async throws -> RequestGroup? {
        try await inner.claim(rules, at: now)
    }
    func requests(
        of group: RequestGroup,
        from position: Int
    ) async throws -> AsyncThrowingStream<[SourceItem], any Error> {
        try await inner.requests(of: group, from: position)
    }
    func changes() async -> AsyncStream<Void> { await inner.changes() }
    func close() async { await inner.close() }
}

extension RequestQueue {
    /// Adds requests in order, and returns once all of them are stored; throws what `add(_:)` of records throws.
    public func add(_ requests: [BatchRequest]) async throws { try await add(requests.map(\.record)) }
}
