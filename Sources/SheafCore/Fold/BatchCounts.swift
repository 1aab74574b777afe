/// The numbers of a batch's tasks in each state; they always add up to the total.
public struct BatchCounts: Sendable, Hashable {
    /// Tasks that have not started.
    public var pending: Int
    /// Tasks that are running, according to the workers' heartbeats.
    public var running: Int
    /// Tasks that ended with an output.
    public var succeeded: Int
    /// Tasks that ended with an error.
    public var failed: Int
    /// Tasks that were dropped because the batch was cancelled.
    public var cancelled: Int

    /// Creates counts.
    public init(pending: Int = 0, running: Int = 0, succeeded: Int = 0, failed: Int = 0, cancelled: Int = 0) {
        self.pending = pending
        self.running = running
        self.succeeded = succeeded
        self.failed = failed
        self.cancelled = cancelled
    }

    /// Divides a total: tasks that are neither settled nor running are pending, or cancelled if the batch is.
    package init(total: Int, settled: BatchState.Settled, running: Int, isCancelled: Bool) {
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

    /// The number of all tasks.
    public var total: Int { pending + running + succeeded + failed + cancelled }
    /// The number of tasks that succeeded or failed.
    public var settled: Int { succeeded + failed }

    /// The counts as a JSON object.
    package var json: JSONValue {
        [
            "pending": .integer(pending), "running": .integer(running), "succeeded": .integer(succeeded),
            "failed": .integer(failed), "cancelled": .integer(cancelled),
        ]
    }

    /// Decodes counts from a JSON object; missing members are 0.
    package init(json: JSONValue) {
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
    /// The number of tasks in a member, clamped to the possible range; 0 if the member is missing.
    ///
    /// Any client that can write to a log chooses this number, and sums of counts must not overflow.
    func count(_ name: String) -> Int { min(max(0, self[name]?.intValue ?? 0), BatchState.maximumTasks) }
}
