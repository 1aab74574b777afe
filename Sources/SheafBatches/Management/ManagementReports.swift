import SheafBroker
public import SheafCore

/// The result of pausing or resuming a batch.
public struct BatchChange: Sendable, Equatable {
    /// The batch as it is now.
    public var batch: BatchSummary
    /// Whether the call changed anything; false if the batch was paused, or running, before.
    public var hasChanged: Bool

    /// Creates a result.
    package init(batch: BatchSummary, hasChanged: Bool) {
        self.batch = batch
        self.hasChanged = hasChanged
    }
}

/// The result of a retry: how many tasks run again, and how many do not.
public struct RetryReport: Sendable, Equatable {
    /// The batch as it is now.
    public var batch: BatchSummary
    /// How many tasks run again; if 0, nothing has changed.
    public var retried = 0
    /// The generation in which they run.
    public var generation: Int
    /// How many failed tasks are left out because their record could not be read.
    public var invalid = 0
    /// How many tasks are left out because their record is available neither in an outcome nor in the input.
    public var withoutRecord = 0
    /// How many of the requested tasks have not failed.
    public var unaffected = 0

    /// Creates a report.
    package init(batch: BatchSummary, generation: Int) {
        self.batch = batch
        self.generation = generation
    }
}

/// The result of deleting a batch, whose id cannot be used again.
public struct DeletedBatch: Sendable, Equatable {
    /// The batch.
    public var id: Name
    /// Whether the batch had already been deleted, so that at most remains of that deletion were removed.
    public var wasDeleted: Bool

    /// Creates a result.
    package init(id: Name, wasDeleted: Bool) {
        self.id = id
        self.wasDeleted = wasDeleted
    }
}

/// A message that the broker gave up delivering: no worker could read it, or its workers died repeatedly.
package struct DeadLetter: Sendable, Equatable {
    /// Its offset in the log of dead letters, which identifies it.
    package var offset: Int64
    /// When it was dead-lettered, or first seen if the broker's log has no times; nil if that is unknown.
    package var at: Timestamp?
    /// The broker's reason, such as `rejected` or `delivery_limit`; empty if unknown.
    package var reason: String
    /// The queue in which it was dead-lettered first; empty if unknown.
    package var queue: String
    /// The type of the message; `task` for a task, readable or not.
    package var type: String
    /// The id of the task, or nil if the message cannot be decoded as a task.
    package var task: String?
    /// The size of the body in bytes.
    package var size: Int
    /// The beginning of the body.
    package var preview: [UInt8]

    /// The size limit of ``preview``, in bytes.
    package static let previewSize = 200

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

/// The result of requeuing a dead letter.
package struct RequeuedLetter: Sendable, Equatable {
    /// Its offset in the log of dead letters.
    package var offset: Int64
    /// The queue in which it was dead-lettered first.
    package var queue: String
    /// Why it was not requeued; nil if it was.
    package var refusal: String?
    /// What can be done about a refusal instead.
    package var advice: Advice?
}
