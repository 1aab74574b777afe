import SheafBroker
public import SheafCore

/// What became of a batch that somebody wanted to be paused or to go on.
public struct BatchChange: Sendable, Equatable {
    /// Where it stands now.
    public var batch: BatchSummary
    /// False where it was so already.
    public var hasChanged: Bool

    /// Makes a change.
    public init(batch: BatchSummary, hasChanged: Bool) {
        self.batch = batch
        self.hasChanged = hasChanged
    }
}

/// Which tasks of a batch run again, and which of those asked for do not.
public struct RetryReport: Sendable, Equatable {
    /// Where the batch stands now.
    public var batch: BatchSummary
    /// How many tasks run again; 0 where there was nothing to run, and then nothing has changed.
    public var retried = 0
    /// The generation they run for.
    public var generation: Int
    /// Failed tasks that are left out because their record could not be read: there is nothing to run.
    public var invalid = 0
    /// Tasks that are left out because their record is not to be had: no outcome or input has it.
    public var withoutRecord = 0
    /// Tasks that were named and did not fail.
    public var unaffected = 0

    /// Makes a report.
    public init(batch: BatchSummary, generation: Int) {
        self.batch = batch
        self.generation = generation
    }
}

/// A batch that is gone; its name is not used again.
public struct DeletedBatch: Sendable, Equatable {
    /// The batch.
    public var id: Name
    /// Whether it had been deleted before, so that only what that had left was removed.
    public var wasDeleted: Bool

    /// Makes a deleted batch.
    public init(id: Name, wasDeleted: Bool) {
        self.id = id
        self.wasDeleted = wasDeleted
    }
}

/// A message that was given up: one that nobody could read, or a task that took its workers down again and again.
public struct DeadLetter: Sendable, Equatable {
    /// Its place in the log of dead letters, which names it.
    public var offset: Int64
    /// When it came there, or was first seen there where the broker's log tells no times; nil where nobody knows.
    public var at: Timestamp?
    /// The broker's word for why it died, such as `rejected` or `delivery_limit`; empty where nothing says so.
    public var reason: String
    /// The queue it died in first; empty where nothing says so.
    public var queue: String
    /// The message's type; `task` where it is one, or should be.
    public var type: String
    /// The task, where it can be read as one.
    public var task: String?
    /// The size of the body in bytes.
    public var size: Int
    /// The beginning of the body.
    public var preview: [UInt8]

    /// How much of a body is kept for ``preview``, in bytes.
    public static let previewSize = 200

    init(_ entry: LogEntry) {
        let message = entry.message
        offset = entry.offset
        at = entry.time
        reason = message.string(DeathHeaders.reason) ?? ""
        queue = message.string(DeathHeaders.queue) ?? ""
        type = message.type
        task = (try? BatchTask(message))?.id
        size = message.body.count
        preview = Array(message.body.prefix(Self.previewSize))
    }
}

/// What became of a dead letter that was to go back to its queue.
public struct RequeuedLetter: Sendable, Equatable {
    /// Its place in the log of dead letters.
    public var offset: Int64
    /// The queue it died in first.
    public var queue: String
    /// Why it was not requeued; nil if it was.
    public var refusal: String?
    /// What can be done about a refusal instead.
    public var advice: Advice?
}
