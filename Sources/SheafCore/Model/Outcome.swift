/// The outcome of a task: how it ended, with its output or error.
public struct Outcome: Sendable, Equatable {
    /// The ways in which a task can end.
    public enum Status: String, Sendable, CaseIterable {
        /// The flow returned an output.
        case succeeded
        /// The last attempt failed, or the record could not be read.
        case failed
        /// The task ended because the batch was cancelled.
        case cancelled
    }

    /// The reason why a task failed.
    public struct Failure: Sendable, Equatable {
        /// The type, such as `exit-code`, `timeout` or ``invalidRecord``.
        public var type: String
        /// The error message.
        public var message: String

        /// Creates a failure.
        public init(type: String, message: String) {
            self.type = type
            self.message = message
        }

        /// The type for a record that could not be read; the error policy ignores it.
        public static let invalidRecord = "invalid-record"
        /// The type for a task whose workers died repeatedly.
        public static let workerLost = "worker-lost"
    }

    /// The task's index within its batch.
    public var index: Int
    /// The generation that the task ran for.
    public var generation: Int
    /// How the task ended.
    public var status: Status
    /// The record's id.
    public var recordID: String
    /// The flow's output as JSON text on one line, or nil if the task did not succeed.
    public var output: [UInt8]?
    /// The reason for the failure, or nil if the task succeeded.
    public var error: Failure?
    /// The number of attempts made.
    public var attempts: Int
    /// When the last attempt started.
    public var startedAt: Timestamp
    /// When the last attempt ended.
    public var finishedAt: Timestamp
    /// The worker that ran the task.
    public var worker: String
    /// The record if the task failed, so that it can be run again; its id is ``recordID``.
    public var record: Record?
    /// The parameters of a failed task as a JSON object, or nil if it had none.
    public var parameters: String?
    /// The errors of the last few attempts; for a failed task, the last of them is ``error``.
    public var errors: [AttemptError]
    /// The usage that the flow reported, if the task succeeded.
    public var usage: Usage
    /// The task whose outcome this is, if the records of the two are identical and only that one ran; nil for most.
    public var sameAs: Int?

    /// Creates an outcome.
    package init(
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
        usage: Usage = Usage(),
        sameAs: Int? = nil
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
        self.sameAs = sameAs
    }

    /// Appends the outcome as the JSON object that `sheaf results` prints, without a line break.
    ///
    /// The object has `errors` only if an attempt failed, and `same_as` only if another task ran for this one.
    package func writeRow(batch: Name, to row: inout [UInt8]) {
        func field(_ name: StaticString) {
            row.append(contentsOf: ",\"".utf8)
            name.withUTF8Buffer { row.append(contentsOf: $0) }
            row.append(contentsOf: "\":".utf8)
        }
        row.append(contentsOf: "{\"batch_id\":\"\(batch.text)\",\"index\":\(index)".utf8)
        field("record_id")
        JSON.write(recordID, to: &row)
        field("status")
        JSON.write(status.rawValue, to: &row)
        field("output")
        if let output { JSON.writeOnOneLine(output, to: &row) } else { row.append(contentsOf: "null".utf8) }
        field("error")
        if let error { error.json.write(to: &row) } else { row.append(contentsOf: "null".utf8) }
        field("attempts")
        row.append(contentsOf: String(attempts).utf8)
        if !errors.isEmpty {
            field("errors")
            AttemptError.json(AttemptError.bounded(errors)).write(to: &row)
        }
        field("started_at")
        JSON.write(startedAt.description, to: &row)
        field("finished_at")
        JSON.write(finishedAt.description, to: &row)
        field("worker")
        JSON.write(worker, to: &row)
        if let sameAs {
            field("same_as")
            row.append(contentsOf: String(sameAs).utf8)
        }
        row.append(UInt8(ascii: "}"))
    }
}

extension Outcome.Failure {
    /// The failure as a JSON object.
    package var json: JSONValue { ["type": .string(type), "message": .string(message)] }
}
