/// A running subscription to a queue, used by one task at a time.
public protocol QueueConsumer: Sendable {
    /// Hands out all deliveries that have arrived, and waits where there is none; nil after ``cancel()``.
    ///
    /// Throws `queueGone` when the queue was deleted, `connectionLost` when the connection ended, and `CancellationError`.
    func next() async throws -> [Delivery]?
    /// Ends the subscription; when it returns, no more comes, and what had arrived and not been handed out is returned.
    ///
    /// Deliveries handed out before, and those it returns, are still to be settled.
    func cancel() async throws -> [Delivery]
}

/// A position in a log that moves on as entries are read, used by one task at a time.
public protocol LogReader: Sendable {
    /// Hands out the entries that have arrived, oldest first, and waits where there is none; nil after ``cancel()``.
    ///
    /// The first chunk may be empty: it says where reading begins. Throws `queueGone` when the log was deleted, `connectionLost` when the connection ended, and `CancellationError`.
    func next() async throws -> LogChunk?
    /// Ends the reading.
    func cancel() async
}

/// A name held by one process at a time.
public protocol BrokerLock: Sendable {
    /// The name.
    var name: String { get }
    /// Tells whether it is still held; false once its connection is lost or it was released.
    var isHeld: Bool { get async }
    /// Gives the name back.
    func release() async
}
