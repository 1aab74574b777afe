import OrderedCollections

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
    /// The number of leased tasks: they are kept in the results log.
    package var leased: Int
    /// The tasks that wait for their next attempt, soonest first.
    package var delayed: [DueTasks]
    /// How many tasks of the pilot have ended; nil if the batch has none.
    package var pilot: BatchState.Settled?
    /// How many tasks have no outcome and will get that of another one.
    package var openTwins: Int

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
        usage: Usage = Usage(),
        leased: Int = 0,
        delayed: [DueTasks] = [],
        pilot: BatchState.Settled? = nil,
        openTwins: Int = 0
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
        self.leased = leased
        self.delayed = delayed
        self.pilot = pilot
        self.openTwins = openTwins
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
            usage: state.usage,
            leased: state.leases.count,
            pilot: state.pilotCount > 0 ? state.settledOfPilot : nil,
            openTwins: state.openTwins
        )
    }

    /// The progress as a JSON object.
    package var json: JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [
            "batch": .string(batch.text), "total": .integer(total), "sealed": .bool(isSealed),
            "succeeded": .integer(settled.succeeded), "failed": .integer(settled.failed),
            "invalid": .integer(settled.invalid), "running": .integer(running),
            "started_at": .optional(startedAt?.description), "offset": .integer(offset),
            "checkpoint": checkpoint.map { .integer($0) } ?? .null, "missing": .integer(missing),
            "trimmed": .bool(isTrimmed), "limited": limited?.json ?? .null,
            "questions": .integer(questions), "usage": usage.json, "leased": .integer(leased),
            "delayed": .array(delayed.map { [.integer($0.at.milliseconds), .integer($0.count)] }),
        ]
        if let pilot { members["pilot"] = pilot.json }
        if openTwins > 0 { members["twins"] = .integer(openTwins) }
        return .object(members)
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
            settled: BatchState.Settled(json: json),
            running: json.count("running"),
            startedAt: json["started_at"]?.stringValue.flatMap { Timestamp($0) },
            offset: Int64(json["offset"]?.intValue ?? 0),
            checkpoint: json["checkpoint"]?.intValue.map { Int64($0) },
            missing: json["missing"]?.intValue ?? 0,
            isTrimmed: json["trimmed"]?.boolValue ?? false,
            limited: json["limited"].flatMap { RateLimitWait(json: $0) },
            questions: json.count("questions"),
            usage: Usage(json: json["usage"]),
            leased: json.count("leased"),
            delayed: (json["delayed"]?.arrayValue ?? []).compactMap { DueTasks(json: $0) },
            pilot: json["pilot"].flatMap { $0.objectValue == nil ? nil : BatchState.Settled(json: $0) },
            openTwins: json.count("twins")
        )
    }
}

extension BatchState.Settled {
    fileprivate var json: JSONValue {
        ["succeeded": .integer(succeeded), "failed": .integer(failed), "invalid": .integer(invalid)]
    }

    fileprivate init(json: JSONValue) {
        self.init(
            succeeded: json.count("succeeded"),
            failed: json.count("failed"),
            invalid: json.count("invalid")
        )
    }
}

/// Tasks that wait for their next attempt and are due at about the same time.
package struct DueTasks: Sendable, Equatable {
    /// When they are due, rounded down.
    package var at: Timestamp
    /// Their number.
    package var count: Int

    package init(at time: Timestamp, count: Int) { (at, self.count) = (time, count) }

    fileprivate init?(json: JSONValue) {
        guard let pair = json.arrayValue, pair.count == 2, let time = pair[0].intValue, let count = pair[1].intValue,
            (0...BatchState.maximumTasks).contains(count)
        else { return nil }
        self.init(at: Timestamp(milliseconds: Int64(time)), count: count)
    }
}

/// The aggregator's report on all active batches.
package struct ProgressMessage: Sendable, Equatable {
    package static let messageType = "progress"

    /// When the aggregator wrote the report.
    package var at: Timestamp
    /// The progress of each batch that is not finished.
    package var batches: [BatchProgress]
    /// How far batches were copied to the topic of outcomes; empty if the broker has no topics.
    package var copied: [Name: CopyPosition]

    package init(at: Timestamp, batches: [BatchProgress], copied: [Name: CopyPosition] = [:]) {
        self.at = at
        self.batches = batches
        self.copied = copied
    }

    package var message: Message {
        var members: OrderedDictionary<String, JSONValue> = [
            "at": .string(at.description), "batches": .array(batches.map(\.json)),
        ]
        if !copied.isEmpty {
            members["copied"] = .object(.init(uniqueKeysWithValues: copied.map { ($0.key.text, $0.value.json) }))
        }
        let body = JSONValue.object(members)
        return Message(type: Self.messageType, contentType: "application/json", body: body.bytes)
    }

    /// Decodes a report; returns nil if the message is not one.
    package init?(_ message: Message) {
        guard message.type == Self.messageType, let body = try? JSON.parse(message.body),
            let at = body["at"]?.stringValue.flatMap({ Timestamp($0) })
        else { return nil }
        self.init(at: at, batches: (body["batches"]?.arrayValue ?? []).compactMap(BatchProgress.init(json:)))
        for (name, position) in body["copied"]?.objectValue ?? [:] {
            if let batch = Name(name), let position = CopyPosition(json: position) { copied[batch] = position }
        }
    }
}
