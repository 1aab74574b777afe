/// A batch as people see it: what the journal says of it, and how far its results are.
public struct BatchSummary: Sendable, Equatable {
    /// What the journal says.
    public var record: BatchInfo
    /// How far it is.
    public var counts: BatchCounts
    /// When its first task began.
    public var startedAt: Timestamp?
    /// Whether the total is final.
    public var isSealed: Bool
    /// Whether its creator is gone though not all of its tasks are in the queue.
    public var isInterrupted = false
    /// How many of the pending tasks the broker has lost, so that nobody will run them.
    public var missing = 0
    /// Whether outcomes were removed from the results log before they were counted.
    public var isTrimmed = false
    /// How many of the pending tasks workers hold back because of a limit, or nil where there are none.
    public var limited: RateLimitWait?
    /// How many of its tasks' questions wait for an answer.
    public var questions = 0
    /// What the tasks took that succeeded, all together.
    public var usage: Usage

    /// Joins the two; a final count in the journal stands above any progress.
    public init(record: BatchInfo, progress: BatchProgress?) {
        self.record = record
        if record.ending == nil, let progress {
            missing = progress.missing
            isTrimmed = progress.isTrimmed
            limited = progress.limited
        }
        let total = max(record.sealedTotal ?? record.published, progress?.total ?? 0)
        if let ending = record.ending {
            counts = ending.counts
            startedAt = ending.startedAt
            usage = ending.usage
            isSealed = true
        } else {
            counts = BatchCounts(
                total: record.sealedTotal ?? total,
                settled: progress?.settled ?? BatchState.Settled(),
                running: progress?.running ?? 0,
                isCancelled: record.cancelled != nil
            )
            startedAt = progress?.startedAt
            usage = progress?.usage ?? Usage()
            isSealed = record.sealedTotal != nil
        }
    }

    /// Where the batch stands.
    public var status: BatchStatus {
        record.status(hasStarted: startedAt != nil || counts.settled + counts.running > 0)
    }

    /// The number of tasks, or the number so far.
    public var total: Int { counts.total }

    /// When the batch ended: by its last outcome, its policy or a cancel.
    public var finishedAt: Timestamp? {
        record.ending?.at ?? record.stopped?.at ?? record.cancelled?.at
    }

    /// The batch as the JSON object that `status --json` prints.
    public var json: JSONValue {
        [
            "batch_id": .string(record.id.text),
            "flow": .string(record.flow.text),
            "status": .string(status.rawValue),
            "total": .integer(total),
            "sealed": .bool(isSealed),
            "interrupted": .bool(isInterrupted),
            "missing": .integer(missing),
            "trimmed": .bool(isTrimmed),
            "limited": limited?.json ?? .null,
            "questions": .integer(questions),
            "counts": counts.json,
            "usage": usage.json,
            "created_at": .string(record.createdAt.description),
            "started_at": .optional(startedAt?.description),
            "finished_at": .optional(finishedAt?.description),
            "reason": .optional(record.stopped?.reason),
        ]
    }
}
