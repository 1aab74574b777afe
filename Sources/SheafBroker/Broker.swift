public import SheafCore

/// A message broker as Sheaf uses it: queues, logs, locks and delayed publishing.
///
/// Everything in Sheaf is built on these. A broker may be used from any task. After a lost connection the next call
/// connects again. Consumers, readers and locks of the lost connection end with ``BrokerError/Code/connectionLost``,
/// and their users create new ones. All calls throw ``BrokerError`` or `CancellationError`.
///
/// ## Absence is certain
///
/// ``BrokerError/Code/notFound``, ``BrokerError/Code/queueGone``, and a nil ``queueStatus(_:)`` or ``endOffset(of:)``
/// mean that the queue or log does not exist. A caller may act on them, for example end a batch whose queue was
/// deleted. An implementation whose server can report an existing queue as missing, for example while it starts or
/// stops, looks again until it is certain. If it cannot become certain, it throws a retryable error such as
/// ``BrokerError/Code/timedOut`` or ``BrokerError/Code/connectionLost``.
///
/// The conformance suite `BrokerConformance` in SheafTesting holds every implementation to these rules.
public protocol Broker: Sendable {
    /// What this broker is and where, for display; never contains a password.
    var description: BrokerDescription { get async throws }

    /// Declares a durable queue.
    ///
    /// Redeclaring an identical queue has no effect.
    /// - Throws: `mismatch` if a different queue of that name exists.
    func declareQueue(_ declaration: QueueDeclaration) async throws
    /// Deletes a queue and its messages; has no effect if the queue does not exist.
    func deleteQueue(_ name: String) async throws
    /// Drops the messages that are ready in a queue, but not those held by consumers, and returns their number.
    ///
    /// - Throws: `notFound` if the queue does not exist.
    @discardableResult
    func purgeQueue(_ name: String) async throws -> Int
    /// Returns the number of ready messages and of consumers, or nil if the queue does not exist.
    func queueStatus(_ name: String) async throws -> QueueStatus?

    /// Declares a log; has no effect if a log of that name exists.
    func declareLog(_ declaration: LogDeclaration) async throws
    /// Deletes a log; has no effect if the log does not exist.
    func deleteLog(_ name: String) async throws
    /// Returns the smallest offset that the next entry can get, or nil if the log does not exist.
    ///
    /// Every entry confirmed before the call has a smaller offset, and the ``LogChunk/nextOffset`` of a reader reaches
    /// it. A broker that cannot look the offset up appends an entry of type ``Message/markType``. Readers never return
    /// marks.
    func endOffset(of log: String) async throws -> Int64?

    /// Publishes messages to a queue, in order, and returns once all of them are confirmed.
    ///
    /// Concurrent calls are allowed. If the call throws, any subset of the messages may have arrived.
    /// - Throws: `notFound` if the queue does not exist.
    func publish(_ messages: [Message], to queue: String) async throws
    /// Publishes a message that reaches the queue after a delay, and returns once the broker has stored it.
    ///
    /// The broker rounds the delay up to one of its steps. The delay survives a restart of the broker.
    func publish(_ message: Message, to queue: String, after delay: Duration) async throws
    /// Appends messages to a log, in order, and returns once all of them are confirmed.
    ///
    /// - Throws: `notFound` if the log does not exist.
    func append(_ messages: [Message], to log: String) async throws

    /// Starts a consumer with at most `prefetch` (at least 1) unsettled deliveries at a time.
    ///
    /// - Throws: `notFound` if the queue does not exist.
    func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer
    /// Takes one message from a queue, or returns nil if the queue is empty.
    ///
    /// - Throws: `notFound` if the queue does not exist.
    func get(_ queue: String) async throws -> Delivery?
    /// Settles deliveries; skips those of a lost connection, which the broker has already returned to their queue.
    ///
    /// When the call returns, the settlements are on their way in order. Like AMQP acknowledgements they are not
    /// confirmed.
    func settle(_ deliveries: [Delivery.Token], as settlement: Settlement) async throws

    /// Reads a log from a position and continues with entries that are appended later.
    ///
    /// - Throws: `notFound` if the log does not exist.
    func read(_ log: String, from position: LogPosition) async throws -> any LogReader

    /// Acquires a lock for the lifetime of this process and connection, or returns nil if the lock is held.
    func acquireLock(_ name: String) async throws -> (any BrokerLock)?
    /// Returns whether a lock is held, by this process or another.
    func isLocked(_ name: String) async throws -> Bool

    /// The reason why the broker accepts no messages at present (a memory or disk alarm), or nil if none is known.
    var blockedReason: String? { get async }

    /// Closes all connections; held deliveries return to their queues and locks are released.
    func close() async
}

extension Broker {
    /// Nil: the default for a broker that never blocks publishers.
    public var blockedReason: String? { get async { nil } }

    /// Publishes one message to a queue and returns once it is confirmed.
    package func publish(_ message: Message, to queue: String) async throws {
        try await publish([message], to: queue)
    }

    /// Appends one message to a log and returns once it is confirmed.
    package func append(_ message: Message, to log: String) async throws {
        try await append([message], to: log)
    }

    /// Settles one delivery.
    package func settle(_ delivery: Delivery, as settlement: Settlement) async throws {
        try await settle([delivery.token], as: settlement)
    }

    /// Settles deliveries.
    package func settle(_ deliveries: [Delivery], as settlement: Settlement) async throws {
        try await settle(deliveries.map(\.token), as: settlement)
    }
}

/// The kind, address and version of a broker, for display; never contains a password.
public struct BrokerDescription: Sendable, Equatable {
    /// The kind, such as `RabbitMQ` or `embedded`.
    public var kind: String
    /// The address without credentials, or the path of the file.
    public var address: String
    /// The version of the broker.
    public var version: String
    /// Rules of this version that affect users of Sheaf, one sentence each, with what to do about them.
    public var notes: [String]

    /// Creates a description.
    public init(kind: String, address: String, version: String, notes: [String] = []) {
        self.kind = kind
        self.address = address
        self.version = version
        self.notes = notes
    }
}

/// A lock that at most one process holds at a time.
public protocol BrokerLock: Sendable {
    /// The name of the lock.
    var name: String { get }
    /// Whether the lock is still held; false after it was released or its connection was lost.
    var isHeld: Bool { get async }
    /// Releases the lock.
    func release() async
}
