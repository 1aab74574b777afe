public import SheafCore

/// A message broker as Sheaf sees it: queues, logs, locks and delayed publishing.
///
/// Everything Sheaf does is built from these three. A broker may be used from any task. After a lost connection the next call
/// connects again; consumers, readers and locks of the old connection end with ``BrokerError/Code/connectionLost`` and are
/// made anew by whoever needs them. All calls throw ``BrokerError`` or `CancellationError`.
public protocol Broker: Sendable {
    /// What this is and where, for people; never with a password.
    var description: BrokerDescription { get async throws }

    /// Makes a queue that outlives the broker's restart; does nothing where an equal one exists.
    func declareQueue(_ declaration: QueueDeclaration) async throws
    /// Removes a queue and its messages; a queue that does not exist is no error.
    func deleteQueue(_ name: String) async throws
    /// Drops the messages that wait in a queue (not those held by consumers) and returns how many they were.
    @discardableResult
    func purgeQueue(_ name: String) async throws -> Int
    /// How many messages wait and how many consumers there are, or nil where there is no such queue.
    func queueStatus(_ name: String) async throws -> QueueStatus?

    /// Makes a log; does nothing where one of that name exists.
    func declareLog(_ declaration: LogDeclaration) async throws
    /// Removes a log; one that does not exist is no error.
    func deleteLog(_ name: String) async throws
    /// The offset that the next entry gets at the earliest, or nil where there is no such log.
    ///
    /// Every entry confirmed before the call has a smaller offset, and a reader's ``LogChunk/nextOffset`` gets there. Brokers that can not tell append an entry of type
    /// ``Message/markType`` to find out; log readers never hand those out.
    func endOffset(of log: String) async throws -> Int64?

    /// Puts messages into a queue, in order, and returns when all of them are confirmed.
    ///
    /// Many calls may be under way at once. When it throws, any part of the messages may have arrived.
    /// Throws `notFound` where there is no such queue.
    func publish(_ messages: [Message], to queue: String) async throws
    /// Puts a message into a queue no sooner than after `delay`; returns when it is confirmed.
    ///
    /// The delay is rounded up to a step of the broker's and survives its restart.
    func publish(_ message: Message, to queue: String, after delay: Duration) async throws
    /// Appends messages to a log, in order, and returns when all of them are confirmed. Throws `notFound` as publishing does.
    func append(_ messages: [Message], to log: String) async throws

    /// Starts to receive from a queue with at most `prefetch` (at least 1) unsettled deliveries at a time.
    func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer
    /// Takes one message if there is one.
    func get(_ queue: String) async throws -> Delivery?
    /// Ends deliveries; those of a lost connection are left out, since the broker has taken them back.
    ///
    /// When it returns, the broker has been told in order; like AMQP's acknowledgements it is not confirmed.
    func settle(_ deliveries: [Delivery.Token], as settlement: Settlement) async throws

    /// Reads a log from a position, and goes on with what is appended.
    func read(_ log: String, from position: LogPosition) async throws -> any LogReader

    /// Takes a lock for as long as this process and connection live, or returns nil where somebody holds it.
    func acquireLock(_ name: String) async throws -> (any BrokerLock)?
    /// Tells whether somebody holds a lock.
    func isLocked(_ name: String) async throws -> Bool

    /// Why the broker takes no messages for now (a memory or disk alarm), or nil as far as is known.
    var blockedReason: String? { get async }

    /// Lets go of everything; held deliveries go back to their queues, locks are freed.
    func close() async
}

extension Broker {
    /// Nothing: a broker that never blocks need not say more.
    public var blockedReason: String? { get async { nil } }

    /// Puts one message into a queue and returns when it is confirmed.
    public func publish(_ message: Message, to queue: String) async throws {
        try await publish([message], to: queue)
    }

    /// Appends one message to a log and returns when it is confirmed.
    public func append(_ message: Message, to log: String) async throws {
        try await append([message], to: log)
    }

    /// Ends one delivery.
    public func settle(_ delivery: Delivery, as settlement: Settlement) async throws {
        try await settle([delivery.token], as: settlement)
    }

    /// Ends deliveries.
    public func settle(_ deliveries: [Delivery], as settlement: Settlement) async throws {
        try await settle(deliveries.map(\.token), as: settlement)
    }
}

extension Message {
    /// The type of entries that only mark a place in a log; see ``Broker/endOffset(of:)``.
    public static let markType = "mark"
}
