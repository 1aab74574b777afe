/// How a task ended.
public struct Outcome: Sendable, Equatable {
    /// The three ways a task ends.
    public enum Status: String, Sendable, CaseIterable {
        /// The flow returned an output.
        case succeeded
        /// The flow failed for good, or the record could not be read.
        case failed
        /// The task was ended by a cancel.
        case cancelled
    }

    /// Why a task failed.
    public struct Failure: Sendable, Equatable {
        /// The kind, such as `exit-code`, `timeout` or ``invalidRecord``.
        public var type: String
        /// What happened, for people.
        public var message: String

        /// Makes a failure.
        public init(type: String, message: String) {
            self.type = type
            self.message = message
        }

        /// The type of a record that could not be read; it does not count for the error policy.
        public static let invalidRecord = "invalid-record"
        /// The type of a task that took its workers down again and again.
        public static let workerLost = "worker-lost"
    }

    /// The task's number within its batch.
    public var index: Int
    /// The generation the task was run for.
    public var generation: Int
    /// How it ended.
    public var status: Status
    /// The record's name.
    public var recordID: String
    /// What the flow returned, as JSON text on one line; nil unless it succeeded.
    public var output: [UInt8]?
    /// Why it failed; nil if it succeeded.
    public var error: Failure?
    /// How many attempts were made.
    public var attempts: Int
    /// When the last attempt began.
    public var startedAt: Timestamp
    /// When it ended.
    public var finishedAt: Timestamp
    /// The worker that ran it.
    public var worker: String
    /// The record, where the task failed, so that it can be run again; its id is ``recordID``.
    public var record: Record?
    /// The parameters of a failed task as a JSON object, where it had any.
    public var parameters: String?
    /// How each failed attempt ended, the last few; of a failed task the last one is ``error`` itself.
    public var errors: [AttemptError]
    /// What a task that succeeded took, as far as its flow has said.
    public var usage: Usage

    /// Makes an outcome.
    public init(
        index: Int,
        generation: Int = 0,
        status: Status,
        recordID: String,
        output: [UInt8]? = nil,
        error: Failure? = nil,
        attempts: Int = 1,
        startedAt: Timestamp,
        finishedAt: Timestamp,
        worker: String,
        record: Record? = nil,
        parameters: String? = nil,
        errors: [AttemptError] = [],
        usage: Usage = Usage()
    ) {
        self.index = index
        self.generation = generation
        self.status = status
        self.recordID = recordID
        self.output = output
        self.error = error
        self.attempts = attempts
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.worker = worker
        self.record = record
        self.parameters = parameters
        self.errors = errors
        self.usage = usage
    }
}
