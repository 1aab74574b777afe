/// A batch as users see it: its entry in the journal and its progress.
public struct BatchSummary: Sendable, Equatable {
    /// The state of the batch as a whole, from the journal.
    public var info: BatchInfo
    /// The numbers of tasks in each state.
    public var counts: BatchCounts
    /// When the first task started.
    public var startedAt: Timestamp?
    /// Whether the total is final.
    public var isSealed: Bool
    /// Whether the creator ended before all tasks were published.
    public var isInterrupted = false
    /// The number of pending tasks that the broker has lost, so that no worker will run them.
    public var missing = 0
    /// Whether outcomes were removed from the results log before they were counted.
    public var isTrimmed = false
    /// The pending tasks that workers hold back because of a rate limit, or nil if there are none.
    public var limited: RateLimitWait?
    /// The number of questions from tasks that wait for an answer.
    public var questions = 0
    /// The total usage of the tasks that succeeded.
    public var usage: Usage
    /// The number of leased tasks: they are kept in the results log, and most of them run.
    package var leased = 0
    /// The pending tasks that wait for their next attempt, soonest first.
    package var delayed: [DueTasks] = []

    /// How many pending tasks wait for the outcome of another one.
    var openTwins = 0
    /// How many tasks of the pilot have ended.
    var pilotSettled = BatchState.Settled()

    /// Combines the journal's entry and progress; final counts in the journal take precedence over progress.
    package init(info: BatchInfo, progress: BatchProgress?) {
        self.info = info
        if info.ending == nil, let progress {
            missing = progress.missing
            isTrimmed = progress.isTrimmed
            limited = progress.limited
            if info.mayAsk { questions = progress.questions }
            leased = progress.leased
            delayed = progress.delayed
            openTwins = progress.openTwins
            pilotSettled = progress.pilot ?? BatchState.Settled()
        }
        let total = max(info.sealedTotal ?? info.published, progress?.total ?? 0)
        if let ending = info.ending {
            counts = ending.counts
            startedAt = ending.startedAt
            usage = ending.usage
            isSealed = true
        } else {
            counts = BatchCounts(
                total: info.sealedTotal ?? total,
                settled: progress?.settled ?? BatchState.Settled(),
                running: progress?.running ?? 0,
                isCancelled: info.cancelled != nil
            )
            startedAt = progress?.startedAt
            usage = progress?.usage ?? Usage()
            isSealed = info.sealedTotal != nil
        }
    }

    /// The status of the batch.
    public var status: BatchStatus {
        info.status(hasStarted: startedAt != nil || counts.settled + counts.running > 0)
    }

    /// The total number of tasks, or the number so far.
    public var total: Int { counts.total }

    /// When the batch ended: with its last outcome, by its error policy or by a cancel.
    public var finishedAt: Timestamp? {
        info.ending?.at ?? info.stopped?.at ?? info.cancelled?.at
    }

    /// The batch as the JSON object that `status --json` prints.
    package var json: JSONValue {
        [
            "batch_id": .string(info.id.text),
            "flow": .string(info.flow.text),
            "tags": info.options.tagsJSON,
            "status": .string(status.rawValue),
            "total": .integer(total),
            "twins": .integer(info.twins),
            "sealed": .bool(isSealed),
            "interrupted": .bool(isInterrupted),
            "missing": .integer(missing),
            "trimmed": .bool(isTrimmed),
            "limited": limited?.json ?? .null,
            "questions": .integer(questions),
            "counts": counts.json,
            "usage": usage.json,
            "pilot": pilotJSON,
            "created_at": .string(info.createdAt.description),
            "started_at": .optional(startedAt?.description),
            "finished_at": .optional(finishedAt?.description),
            "reason": .optional(info.stopped?.reason),
        ]
    }
}

/// The status of a batch.
public enum BatchStatus: String, Sendable, CaseIterable {
    /// No task has started.
    case pending
    /// Tasks are running or have run.
    case processing
    /// A user has paused the batch.
    case paused
    /// Every task has an outcome; the counts tell how many failed.
    case completed
    /// The error policy or a fatal error stopped the batch.
    case failed
    /// A user has cancelled the batch.
    case cancelled

    /// Whether the batch stays as it is unless a user retries or resumes it.
    public var isFinal: Bool { self == .completed || self == .failed || self == .cancelled }
}
