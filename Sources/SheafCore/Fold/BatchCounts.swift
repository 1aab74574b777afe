/// How many of a batch's tasks are where; they always add up to the total.
public struct BatchCounts: Sendable, Hashable {
    /// Not yet begun.
    public var pending: Int
    /// Being run at the moment, as far as workers have said.
    public var running: Int
    /// Ended with an output.
    public var succeeded: Int
    /// Ended with an error.
    public var failed: Int
    /// Dropped by a cancel.
    public var cancelled: Int

    /// Makes counts.
    public init(pending: Int = 0, running: Int = 0, succeeded: Int = 0, failed: Int = 0, cancelled: Int = 0) {
        self.pending = pending
        self.running = running
        self.succeeded = succeeded
        self.failed = failed
        self.cancelled = cancelled
    }

    /// Divides a total: what is neither settled nor running is pending, or cancelled once the batch is.
    public init(total: Int, settled: BatchState.Settled, running: Int, isCancelled: Bool) {
        let open = max(0, total - settled.count)
        let busy = min(max(0, running), open)
        self.init(
            pending: isCancelled ? 0 : open - busy,
            running: busy,
            succeeded: settled.succeeded,
            failed: settled.failed,
            cancelled: isCancelled ? open - busy : 0
        )
    }

    /// All tasks.
    public var total: Int { pending + running + succeeded + failed + cancelled }
    /// Those that ended with an outcome.
    public var settled: Int { succeeded + failed }

    /// The counts as a JSON object.
    public var json: JSONValue {
        [
            "pending": .integer(pending), "running": .integer(running), "succeeded": .integer(succeeded),
            "failed": .integer(failed), "cancelled": .integer(cancelled),
        ]
    }

    /// Reads counts from a JSON object; what is missing is 0.
    public init(json: JSONValue) {
        self.init(
            pending: json.count("pending"),
            running: json.count("running"),
            succeeded: json.count("succeeded"),
            failed: json.count("failed"),
            cancelled: json.count("cancelled")
        )
    }
}

extension JSONValue {
    /// The number of tasks under that name: 0 where there is none, and never one that a batch can not have.
    ///
    /// Whoever can write to a log chooses it, and sums of counts must not overflow.
    func count(_ name: String) -> Int { min(max(0, self[name]?.intValue ?? 0), BatchState.maximumTasks) }
}
