public import SheafCore

/// Which batches a ``BatchHandler`` still has to process, kept where they survive the process.
///
/// ``BrokerBatchQueue`` is the default. A queue of one's own may be used by one handler at a time.
public protocol BatchQueue: Sendable {
    /// Adds batches, and returns once that is stored; a batch that is already waiting is not added twice.
    func add(_ batches: [Name]) async throws
    /// Returns the batches that were added and are not finished, in the order in which they were added.
    func unfinished() async throws -> [Name]
    /// Removes a batch, and returns once that is stored; has no effect if it is not in the queue.
    func finish(_ batch: Name) async throws
    /// Returns a stream with an element whenever another process may have changed the queue.
    ///
    /// The default has none; the handler then looks every few seconds.
    func changes() async -> AsyncStream<Void>
}

extension BatchQueue {
    /// Returns a stream without elements.
    public func changes() async -> AsyncStream<Void> { AsyncStream { _ in } }
}
