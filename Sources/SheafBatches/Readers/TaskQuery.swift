package import SheafCore

/// Which tasks of a batch a reader wants; all conditions must hold.
package struct TaskQuery: Sendable, Hashable {
    /// The statuses, or an empty set for any.
    package var statuses: Set<TaskRow.Status> = []
    /// The type of the error.
    package var errorType: String?
    /// The id of an error group; see ``ErrorGroup``.
    package var group: String?
    /// A text in the record's id or in the error message, regardless of the case of ASCII letters.
    package var text: String?

    /// Creates a query for all tasks.
    package init() {}

    /// Whether only failed tasks can match.
    var isAboutFailures: Bool { errorType != nil || group != nil || statuses == [.failed] }
}

/// A task in a list, without its record and output.
package struct TaskRow: Sendable, Equatable {
    /// The status of a task as users see it.
    package enum Status: String, Sendable, CaseIterable {
        /// The task has not started, or waits for its next attempt.
        case pending
        /// A worker runs the task.
        case running
        /// The task ended with an output.
        case succeeded
        /// The task ended with an error.
        case failed
        /// The batch was cancelled before the task ended.
        case cancelled
    }

    /// The task's index within its batch.
    package var index: Int
    /// The status.
    package var status: Status
    /// The generation for which the task is open or has ended.
    package var generation: Int
    /// The latest outcome without its payload, or nil if the task never had one.
    ///
    /// The message of its error is cut at ``TaskRow/maximumMessage`` bytes. If the task was retried and has not ended
    /// since, this is the outcome of an earlier generation.
    package var outcome: Outcome?
    /// The task whose outcome this one gets, because their records are identical; nil for most.
    package var sameAs: Int?

    /// The maximum size of an error message in a row, in bytes.
    package static let maximumMessage = AttemptError.maximumMessage
}

/// Some tasks of a batch, in the order of their indexes.
package struct TaskPage: Sendable, Equatable {
    /// The tasks.
    package var rows: [TaskRow]
    /// The index after which the next page begins, or nil if there are no more tasks.
    ///
    /// A page may have fewer rows than requested, or none, although there are more: the reader looks at a limited
    /// number of tasks for each page.
    package var next: Int?
    /// The number of tasks that the batch has so far.
    package var total: Int
}

/// One attempt at a task.
package struct TaskAttempt: Sendable, Equatable {
    /// The generation of the task.
    package var generation: Int
    /// The attempt, from 1.
    package var attempt: Int
    /// How the attempt ended.
    package var status: Outcome.Status
    /// Why it failed; the messages of all but the last attempt of a generation are cut at 300 bytes.
    package var error: Outcome.Failure?
    /// When it started, if that is known: for the last attempt of a generation.
    package var startedAt: Timestamp?
    /// When it ended.
    package var finishedAt: Timestamp
    /// The worker that made it.
    package var worker: String
}

/// A task with all that the results log records about it.
package struct TaskDetail: Sendable, Equatable {
    /// The task as in a list.
    package var row: TaskRow
    /// The latest outcome in full, or nil if the task never had one.
    package var outcome: Outcome?
    /// The attempts that outcomes record, oldest first: at most 10 for each generation.
    package var attempts: [TaskAttempt]
    /// The record, or nil if no outcome carries it: only failed outcomes do.
    package var record: Record?
    /// The output, or nil if the task has not succeeded in its present generation.
    package var output: [UInt8]? { row.status == .succeeded ? outcome?.output : nil }
}
