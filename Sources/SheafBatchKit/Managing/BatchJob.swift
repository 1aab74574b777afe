public import SheafCore

/// A batch of requests as a ``BatchManager`` sees it.
public struct BatchJob: Sendable, Equatable, Identifiable {
    /// The id, which is that of the batch on the broker.
    public let id: Name
    /// Where the job is on its way.
    public let status: BatchStatus
    /// How many requests are in each state; they add up to the total.
    public let counts: BatchCounts
    /// The tokens of the requests that succeeded.
    public let usage: Usage
    /// When it was submitted.
    public let createdAt: Timestamp
    /// Why the job has failed as a whole; nil if it has not.
    public let failure: String?
    /// Whether the program that submitted it ended before all requests were stored.
    ///
    /// Such a job is completed by submitting the same requests under the same id again, or can be cancelled.
    public let isInterrupted: Bool

    init(_ summary: BatchSummary) {
        id = summary.info.id
        status = summary.status
        counts = summary.counts
        usage = summary.usage
        createdAt = summary.info.createdAt
        failure = summary.info.stopped?.reason
        isInterrupted = summary.isInterrupted
    }

    /// Whether nothing more happens to the job unless it is retried.
    public var isFinal: Bool { status.isFinal }
}
