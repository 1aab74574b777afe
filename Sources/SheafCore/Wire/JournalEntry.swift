import OrderedCollections

/// An entry of the journal: an event that concerns a batch as a whole.
package struct JournalEntry: Sendable, Equatable {
    package enum Event: Sendable, Equatable {
        /// A creator began: `nonce` distinguishes it from creators that chose the same id, `input` describes how to
        /// read the records again.
        case created(options: BatchOptions, source: String, nonce: String, input: JSONValue = .null)
        /// The broker has confirmed `count` tasks; `digest` is that of their records, if the creator kept one from the
        /// start. `twins` of them are not published, because their record is identical to an earlier one.
        case published(count: Int, digest: String? = nil, twins: Int = 0)
        /// All tasks are published, but for the twins.
        case sealed(total: Int, twins: Int = 0)
        /// The error policy or a fatal error stopped the batch.
        case stopped(reason: String)
        /// A user cancelled the batch; `now` ends running tasks too.
        case cancelled(now: Bool)
        /// A user paused the batch.
        case paused
        /// The batch continues after `paused` or `stopped`; the error policy ignores the `tolerated` failures so far.
        case resumed(tolerated: Int)
        /// A retry: `count` tasks, those of the `reopened` entries with this nonce in the results log, run again as a
        /// new generation.
        case retried(generation: Int, nonce: String, count: Int, tolerated: Int)
        /// The batch has a new maximum number of tasks running at once; nil means no limit.
        case changed(maxRunning: Int?)
        /// The batch was deleted with its queues and logs.
        case deleted
        /// The batch has ended: outcomes at or after the end offset of the results log do not count.
        case finished(
            generation: Int,
            endOffset: Int64,
            counts: BatchCounts,
            startedAt: Timestamp?,
            usage: Usage = Usage()
        )
        /// The pilot has ended: the batch is paused, unless enough of its tasks have succeeded.
        case piloted(Pilot.Result)
        /// A webhook about the end of the batch was sent, or given up.
        case notified(id: String)

        package var type: String {
            switch self {
            case .created: "created"
            case .published: "published"
            case .sealed: "sealed"
            case .stopped: "stopped"
            case .cancelled: "cancelled"
            case .paused: "paused"
            case .resumed: "resumed"
            case .retried: "retried"
            case .changed: "changed"
            case .deleted: "deleted"
            case .finished: "finished"
            case .piloted: "piloted"
            case .notified: "notified"
            }
        }
    }

    /// The maximum size of an entry's body in bytes.
    ///
    /// Larger entries are ignored, since every process keeps the content of entries in memory.
    package static let maximumSize = 1 << 20

    package var batch: Name
    package var flow: Name
    /// When the event happened, by the writer's clock.
    package var at: Timestamp
    package var event: Event

    package init(batch: Name, flow: Name, at: Timestamp, event: Event) {
        self.batch = batch
        self.flow = flow
        self.at = at
        self.event = event
    }

    package var message: Message {
        var body: JSONValue = ["at": .string(at.description)]
        func add(_ more: JSONValue) {
            guard case .object(var fields) = body, case .object(let added) = more else { return }
            fields.merge(added, uniquingKeysWith: { $1 })
            body = .object(fields)
        }
        switch event {
        case .created(let options, let source, let nonce, let input):
            add(["options": options.json, "source": .string(source), "nonce": .string(nonce)])
            if input != .null { add(["input": input]) }
        case .published(let count, let digest, let twins):
            add(["count": .integer(count)])
            if let digest { add(["digest": .string(digest)]) }
            if twins > 0 { add(["twins": .integer(twins)]) }
        case .sealed(let total, let twins):
            add(["total": .integer(total)])
            if twins > 0 { add(["twins": .integer(twins)]) }
        case .stopped(let reason): add(["reason": .string(reason)])
        case .cancelled(let now): add(["now": .bool(now)])
        case .paused, .deleted: break
        case .resumed(let tolerated): add(["tolerated": .integer(tolerated)])
        case .retried(let generation, let nonce, let count, let tolerated):
            add([
                "generation": .integer(generation), "nonce": .string(nonce), "count": .integer(count),
                "tolerated": .integer(tolerated),
            ])
        case .changed(let maxRunning): add(["max_running": maxRunning.map { .integer($0) } ?? .null])
        case .finished(let generation, let endOffset, let counts, let startedAt, let usage):
            add([
                "generation": .integer(generation), "end_offset": .integer(endOffset), "counts": counts.json,
                "started_at": .optional(startedAt?.description),
            ])
            if !usage.isEmpty { add(["usage": usage.json]) }
        case .piloted(let result):
            add([
                "tasks": .integer(result.tasks), "succeeded": .integer(result.succeeded),
                "failed": .integer(result.failed), "passed": .bool(result.isPassed),
            ])
            if !result.usage.isEmpty { add(["usage": result.usage.json]) }
        case .notified(let id): add(["id": .string(id)])
        }
        return Message(
            type: event.type,
            contentType: "application/json",
            headers: [.init("sheaf-batch", .string(batch.text)), .init("sheaf-flow", .string(flow.text))],
            body: body.bytes
        )
    }

    /// Decodes an entry; returns nil if this version does not know the message's type or the message is invalid.
    package init?(_ message: Message) {
        guard let batch = message.string("sheaf-batch").flatMap({ Name($0) }),
            let flow = message.string("sheaf-flow").flatMap({ Name($0) }), message.body.count <= Self.maximumSize,
            let body = try? JSON.parse(message.body)
        else { return nil }
        self.init(batch: batch, flow: flow, type: message.type, body: body)
    }

    /// Decodes an entry from its parts; returns nil if this version does not know the type or the body is invalid.
    init?(batch: Name, flow: Name, type: String, body: JSONValue) {
        guard let event = Self.event(type, body) else { return nil }
        let at = body["at"]?.stringValue.flatMap { Timestamp($0) } ?? Timestamp(milliseconds: 0)
        self.init(batch: batch, flow: flow, at: at, event: event)
    }

    private static func event(_ type: String, _ body: JSONValue) -> Event? {
        func count(_ name: String) -> Int? {
            body[name]?.intValue.flatMap { (0...BatchState.maximumTasks).contains($0) ? $0 : nil }
        }
        switch type {
        case "created":
            return .created(
                options: BatchOptions(json: body["options"] ?? [:]),
                source: body["source"]?.stringValue ?? "",
                nonce: body["nonce"]?.stringValue ?? "",
                input: body["input"] ?? .null
            )
        case "published":
            return count("count").map {
                .published(count: $0, digest: body["digest"]?.stringValue, twins: min($0, count("twins") ?? 0))
            }
        case "sealed": return count("total").map { .sealed(total: $0, twins: min($0, count("twins") ?? 0)) }
        case "stopped": return .stopped(reason: body["reason"]?.stringValue ?? "")
        case "cancelled": return .cancelled(now: body["now"]?.boolValue ?? false)
        case "paused": return .paused
        case "resumed": return .resumed(tolerated: count("tolerated") ?? 0)
        case "retried":
            guard let generation = count("generation"), (1..<BatchState.maximumTasks).contains(generation),
                let nonce = body["nonce"]?.stringValue
            else {
                return nil
            }
            return .retried(
                generation: generation,
                nonce: nonce,
                count: count("count") ?? 0,
                tolerated: count("tolerated") ?? 0
            )
        case "changed":
            guard let limit = body["max_running"] else { return nil }
            if limit == .null { return .changed(maxRunning: nil) }
            let most = BatchOptions.runningLimits.upperBound
            return limit.intValue.flatMap { $0 > 0 ? .changed(maxRunning: min($0, most)) : nil }
        case "deleted": return .deleted
        case "finished":
            guard let counts = body["counts"], let end = body["end_offset"]?.intValue else { return nil }
            return .finished(
                generation: body["generation"]?.intValue ?? 0,
                endOffset: Int64(end),
                counts: BatchCounts(json: counts),
                startedAt: body["started_at"]?.stringValue.flatMap { Timestamp($0) },
                usage: Usage(json: body["usage"])
            )
        case "piloted":
            guard let tasks = count("tasks"), let succeeded = count("succeeded"), let failed = count("failed"),
                let isPassed = body["passed"]?.boolValue
            else { return nil }
            let usage = Usage(json: body["usage"])
            return .piloted(
                Pilot.Result(tasks: tasks, succeeded: succeeded, failed: failed, usage: usage, isPassed: isPassed)
            )
        case "notified": return body["id"]?.stringValue.map { .notified(id: $0) }
        default: return nil
        }
    }
}
