import SheafBatches
public import SheafCore

/// A batch that has ended, as the functions of a ``BatchHandler`` get it.
public struct HandledBatch: Sendable {
    /// Why a batch ended otherwise than completed.
    public enum Failure: Sendable, Equatable, CustomStringConvertible {
        /// Its error policy, or a loss on the broker, has stopped it, for the given reason.
        case stopped(String)
        /// It was cancelled.
        case cancelled
        /// It was deleted, or its requests are nowhere to be found.
        case missing

        /// The failure in words.
        public var description: String {
            switch self {
            case .stopped(let reason): "it was stopped: \(reason)"
            case .cancelled: "it was cancelled"
            case .missing: "it does not exist"
            }
        }
    }

    /// The id.
    public let id: Name
    /// The tags.
    public let tags: [String: String]
    /// How many requests are in each state.
    public let counts: BatchCounts
    /// The tokens of the requests that succeeded.
    public let usage: Usage
    /// Why it has not completed; nil if it has.
    public let failure: Failure?
    private let client: SheafClient

    init(_ id: Name, _ summary: BatchSummary?, _ failure: Failure?, _ client: SheafClient) {
        self.id = id
        tags = summary?.info.options.tags ?? [:]
        counts = summary?.counts ?? BatchCounts()
        usage = summary?.usage ?? Usage()
        self.failure = failure
        self.client = client
    }

    /// Returns the results in the order of the requests, one for each request that has ended.
    ///
    /// A batch that was stopped or cancelled has those of the requests that ran.
    /// - Throws: ``SheafError`` with `notFound` if the batch is missing; `BrokerError`.
    public func results() async throws -> [BatchResult] { try await client.batchResults(of: id) }

    /// Returns the results of the requests that succeeded, and those of the others.
    public func partitionedResults() async throws -> (successful: [BatchResult], unsuccessful: [BatchResult]) {
        let results = try await results()
        return (results.filter { $0.status == .succeeded }, results.filter { $0.status != .succeeded })
    }
}
