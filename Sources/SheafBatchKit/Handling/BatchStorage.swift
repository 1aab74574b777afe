public import SheafCore

/// Where a ``BatchHandler`` keeps the requests of batches that have not started.
///
/// By default, there is no storage: the requests are stored on the broker as batches at once. With a storage, the
/// broker gets a batch only when it starts, so that the broker stays small however many batches wait.
public protocol BatchStorage: Sendable {
    /// Stores the requests of a batch, in place of earlier ones of the same id.
    func save(_ requests: [BatchRequest], of batch: Name) async throws
    /// Returns the requests of a batch, in the same order each time; nil if there are none.
    func load(_ batch: Name) async throws -> [BatchRequest]?
    /// Removes the requests of a batch that was processed; has no effect if there are none.
    func remove(_ batch: Name) async throws
}
