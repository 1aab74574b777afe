/// The progress of a batch: its results, summed up at one point in time.
package struct BatchProgress: Sendable, Equatable {
    package var batch: Name
    /// The total number of tasks, or the number so far.
    package var total: Int
    /// Whether the total is final.
    package var isSealed: Bool
    /// The numbers of tasks that ended, by how they ended.
    package var settled: BatchState.Settled
    /// The number of running tasks, according to the workers' heartbeats.
    package var running: Int
    /// When the first task started.
    package var startedAt: Timestamp?
    /// The offset of the results log up to which outcomes are counted.
    package var offset: Int64
    /// The offset of the newest checkpoint in the results log, or nil if there is none.
    package var checkpoint: Int64?
    /// The number of tasks that the broker has lost: they have no outcome and are in no queue.
    package var missing: Int
    /// Whether the broker has trimmed the start of the results log, so that some outcomes cannot be counted.
    package var isTrimmed: Bool
    /// The tasks that workers hold back because of a rate limit, or nil if there are none.
    package var limited: RateLimitWait?
    /// The number of questions that wait for an answer.
    package var questions: Int
    /// The total usage of the tasks that succeeded.
    package var usage: Usage

    package init(
        batch: Name,
        total: Int,
        isSealed: Bool,
        settled: BatchState.Settled,
        running: Int,
        startedAt: Timestamp?,
        offset: Int64,
        checkpoint: Int64? = nil,
        missing: Int = 0,
        isTrimmed: Bool = false,
        limited: RateLimitWait? = nil,
        questions: Int = 0,
        usage: Usage = Usage()
    ) {
        self.batch = batch
        self.total = total
        self.isSealed = isSealed
        self.settled = settled
        self.running = running
        self.startedAt = startedAt
        self.offset = offset
        self.checkpoint = checkpoint
        self.missing = missing
        self.isTrimmed = isTrimmed
        self.limited = limited
        self.questions = questions
        self.usage = usage
    }

    /// Sums up the state of a batch.
    package init(batch: Name, state: BatchState, running: Int, offset: Int64) {
        let settled = state.settled
        self.init(
            batch: batch,
            total: state.sealedTotal ?? max(state.published, settled.count),
            isSealed: state.sealedTotal != nil,
            settled: settled,
            running: running,
            startedAt: state.startedAt,
            offset: offset,
            questions: state.questions.openCount,
            usage: state.usage
        )
    }

    /// The progress as a JSON object.
    package var json: JSONValue {
        [
            "batch": .string(batch.text), "total": .integer(total), "sealed": .bool(isSealed),
            "succeeded": .integer(settled.succeeded), "failed": .integer(settled.failed),
            "invalid": .integer(settled.invalid), "running": .integer(running),
            "started_at": .optional(startedAt?.description), "offset": .integer(offset),
            "checkpoint": checkpoint.map { .integer($0) } ?? .null, "missing": .integer(missing),
            "trimmed": .bool(isTrimmed), "limited": limited?.json ?? .null,
            "questions": .integer(questions), "usage": usage.json,
        ]
    }

    /// Decodes progress; returns nil if the JSON is not valid progress.
    package init?(json: JSONValue) {
        guard let batch = json["batch"]?.stringValue.flatMap({ Name($0) }), json["total"]?.intValue != nil else {
            return nil
        }
        self.init(
            batch: batch,
            total: json.count("total"),
            isSealed: json["sealed"]?.boolValue ?? false,
            settled: BatchState.Settled(
                succeeded: json.count("succeeded"),
                failed: json.count("failed"),
                invalid: json.count("invalid")
            ),
            running: json.count("running"),
            startedAt: json["started_at"]?.stringValue.flatMap { Timestamp($0) },
            offset: Int64(json["offset"]?.intValue ?? 0),
            checkpoint: json["checkpoint"]?.intValue.map { Int64($0) },
            missing: json["missing"]?.intValue ?? 0,
            isTrimmed: json["trimmed"]?.boolValue ?? false,
            limited: json["limited"].flatMap { RateLimitWait(json: $0) },
            questions: json.count("questions"),
            usage: Usage(json: json["usage"])
        )
    }
}

/// The aggregator's report on all active batches.
package struct ProgressMessage: Sendable, Equatable {
    package static let messageType = "progress"

    /// When the aggregator wrote the report.
    package var at: Timestamp
    /// The progress of each batch that is not finished.
    package var batches: [BatchProgress]

    package init(at: Timestamp, batches: [BatchProgress]) {
        self.at = at
        self.batches = batches
    }

    package var message: Message {
        let body: JSONValue = ["at": .string(at.description), "batches": .array(batches.map(\.json))]
        return Message(type: Self.messageType, contentType: "application/json", body: body.bytes)
    }

    /// Decodes a report; returns nil if the message is not one.
    package init?(_ message: Message) {
        guard message.type == Self.messageType, let body = try? JSON.parse(message.body),
            let at = body["at"]?.stringValue.flatMap({ Timestamp($0) })
        else { return nil }
        self.init(at: at, batches: (body["batches"]?.arrayValue ?? []).compactMap(BatchProgress.init(json:)))
    }
}
