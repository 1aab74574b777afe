public import Logging
public import SheafBroker
public import SheafCore
import SheafEmbedded
import SheafRabbitMQ

extension BrokerRegistry {
    /// The brokers that come with Sheaf: RabbitMQ (`amqp`, `amqps`) and the embedded broker (`embedded`).
    public static let standard = BrokerRegistry([RabbitMQBroker.provider, SQLiteBroker.provider])
}

/// A connection to one broker that creates and manages batches, reads their results and runs workers.
///
/// It may be used by many tasks at once. Close it when done, or use ``withClient(broker:namespace:logger:_:)``.
public final class SheafClient: Sendable {
    /// The broker.
    public let broker: any Broker
    /// The names in use.
    package let names: WireNames
    package let logger: Logger
    /// How this process sends webhooks, or nil if it does not.
    package let webhooks: WebhookConfiguration?

    /// Creates a client of an open broker, and declares the logs that all batches share.
    public init(
        broker: any Broker,
        namespace: Name? = nil,
        logger: Logger = Logger(label: "sheaf"),
        webhooks: WebhookConfiguration? = nil
    ) async throws {
        self.broker = broker
        self.names = WireNames(namespace: namespace)
        self.logger = logger
        self.webhooks = webhooks
        try await declareShared()
    }

    /// Connects to a broker; throws `BrokerError` if it cannot be reached or refuses the connection.
    public static func connect(
        to reference: BrokerReference,
        namespace: Name? = nil,
        brokers: BrokerRegistry = .standard,
        logger: Logger = Logger(label: "sheaf"),
        webhooks: WebhookConfiguration? = nil
    ) async throws -> SheafClient {
        let broker = try await brokers.open(reference, namespace: WireNames(namespace: namespace).namespace.text)
        do {
            return try await SheafClient(broker: broker, namespace: namespace, logger: logger, webhooks: webhooks)
        } catch {
            await broker.close()
            throw error
        }
    }

    /// Connects, runs the body, and closes the connection in any case.
    public static func withClient<Result: Sendable>(
        broker reference: BrokerReference,
        namespace: Name? = nil,
        brokers: BrokerRegistry = .standard,
        logger: Logger = Logger(label: "sheaf"),
        _ body: (SheafClient) async throws -> Result
    ) async throws -> Result {
        try await withClient(
            broker: reference,
            namespace: namespace,
            brokers: brokers,
            logger: logger,
            webhooks: nil,
            body
        )
    }

    /// Connects as a process that sends webhooks, runs the body, and closes the connection in any case.
    public static func withClient<Result: Sendable>(
        broker reference: BrokerReference,
        namespace: Name? = nil,
        brokers: BrokerRegistry = .standard,
        logger: Logger = Logger(label: "sheaf"),
        webhooks: WebhookConfiguration?,
        _ body: (SheafClient) async throws -> Result
    ) async throws -> Result {
        let client = try await connect(
            to: reference,
            namespace: namespace,
            brokers: brokers,
            logger: logger,
            webhooks: webhooks
        )
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    /// Closes the connection to the broker.
    public func close() async {
        await broker.close()
    }

    /// Logs whose entries matter for seconds only are bounded.
    private func declareShared() async throws {
        try await broker.declareLog(LogDeclaration(name: names.journal))
        try await broker.declareLog(LogDeclaration(name: names.dead))
        try await broker.declareLog(LogDeclaration(name: names.progress, maximumBytes: 64 << 20))
        try await broker.declareLog(LogDeclaration(name: names.heartbeats, maximumBytes: 16 << 20))
        try await broker.declareLog(LogDeclaration(name: names.limits, maximumBytes: 16 << 20))
        // The memos with the leases decide what happens, so it does no harm that the oldest entries are trimmed.
        try await broker.declareLog(LogDeclaration(name: names.submissions, maximumBytes: 64 << 20))
    }
}

extension SheafClient {
    /// All batches as they are now, oldest first.
    ///
    /// Each call reads the journal again; a process that looks often uses a ``BatchDirectory``.
    public func batches() async throws -> [BatchSummary] {
        try await BatchReader(client: self).summaries(in: Journal.read(from: self)) { _ in true }
    }

    /// A batch by its id, or the newest for `last`; throws ``SheafError`` with `notFound`.
    public func batch(_ reference: String) async throws -> BatchSummary {
        let journal = try await Journal.read(from: self)
        let info = try journal.find(reference)
        let summaries = try await BatchReader(client: self).summaries(in: journal) { $0.id == info.id }
        guard let summary = summaries.first else {
            throw SheafError(.notFound, "batch '\(reference)' no longer exists")
        }
        return summary
    }

    /// Cancels a batch: waiting tasks are dropped; running tasks may finish, or are ended too with `now`.
    ///
    /// Workers that start later respect it too.
    ///
    /// - Throws: ``SheafError`` with `alreadyFinished` if the batch has ended, and `notFound`.
    @discardableResult
    public func cancel(_ reference: String, now: Bool = false) async throws -> BatchSummary {
        try await Canceller(client: self).cancel(reference, now: now)
    }

    /// Follows a batch until it has ended, or its error policy has stopped it; the last element is the final state.
    ///
    /// Elements arrive about once a second, and at each change in the journal. This process aggregates if no other
    /// does.
    public func progress(of reference: String) -> AsyncThrowingStream<BatchSummary, any Error> {
        BatchWatch(client: self, reference: reference).stream()
    }

    /// Waits until a batch has ended or its error policy has stopped it; throws `timedOut` after the timeout.
    public func wait(for reference: String, timeout: Duration? = nil) async throws -> BatchSummary {
        try await withTimeLimit(timeout, "batch '\(reference)' did not end in time") {
            var latest: BatchSummary?
            for try await summary in self.progress(of: reference) { latest = summary }
            guard let latest else { throw SheafError(.notFound, "batch '\(reference)' no longer exists") }
            return latest
        }
    }

    /// The present outcomes of a batch, one for each task that has one.
    ///
    /// They are in the order of the log, or by task number if `ordered`.
    public func results(of reference: String, ordered: Bool = false) async throws -> BatchResults {
        try await BatchResults.open(client: self, reference: reference, ordered: ordered)
    }
}
