public import SheafCore

/// A request queue that can say what it knows of a request.
public protocol SearchableRequestQueue: RequestQueue {
    /// Compares requests with those that the queue has, including all whose addition has returned before the call.
    ///
    /// - Returns: For each request whether the queue knows one with its id; it may have forgotten old ones.
    func repeats(of requests: [Record]) async throws -> [RequestRepeat]

    /// Returns where a request is, or nil if the queue does not know it.
    ///
    /// - Parameters:
    ///   - id: The id of the request; if several requests have it, the first counts.
    ///   - deeply: Whether old requests are searched too, which may read everything that is stored.
    func place(of id: String, deeply: Bool) async throws -> RequestPlace?

    /// A stream with an element at first, and whenever requests were put into a batch.
    func placements() async -> AsyncStream<Void>
}

/// Whether a queue has a request already.
public enum RequestRepeat: Sendable, Hashable {
    /// It has none with this id.
    case new
    /// It has the same request.
    case same
    /// It has another request with the same id.
    case other
}

/// Where a request is.
public enum RequestPlace: Sendable, Hashable {
    /// It waits for a batch.
    case waiting
    /// It is in a batch, which may not be confirmed yet.
    case batch(Name)
}
