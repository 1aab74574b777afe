/// The message types of a results log, and functions that encode and decode them.
package enum ResultMessage {
    /// The type of messages with outcomes, one JSON object per line.
    package static let outcomesType = "outcomes"
    /// The type of the message that a worker appends before it runs its first task of a batch.
    package static let startedType = "started"
    /// The type of messages that open tasks for a retry.
    package static let reopenedType = "reopened"
    /// The type of messages that name tasks of the pilot.
    package static let pilotType = "pilot"
    /// The type of messages that contain a leased task; see ``TaskLease``.
    package static let leasedType = "leased"
    /// The type of messages that record the return of a leased task to its queue.
    package static let returnedType = "returned"
    /// The type of messages that record that a task waits for its next attempt.
    package static let delayedType = "delayed"
    /// The type of the aggregator's checkpoints.
    package static let checkpointType = "checkpoint"
    /// The maximum number of outcomes in one message.
    package static let maximumOutcomes = 500
    /// The size in bytes at which a message takes no further outcomes.
    package static let softSize = 256 << 10

    /// Encodes the first start of a worker in a batch.
    package static func started(batch: Name, worker: String, at time: Timestamp) -> Message {
        let body: JSONValue = ["worker": .string(worker), "started_at": .string(time.description)]
        return Message(type: startedType, contentType: "application/json", headers: header(batch), body: body.bytes)
    }

    /// Encodes outcomes from the lines that ``Outcome/writeLine(to:)`` has written.
    package static func outcomes(batch: Name, lines: [UInt8]) -> Message {
        Message(type: outcomesType, contentType: "application/x-ndjson", headers: header(batch), body: lines)
    }

    /// Encodes the tasks that a retry opens; it counts once the journal has a `retried` entry with the same nonce.
    package static func reopened(batch: Name, generation: Int, nonce: String, tasks: IndexRanges) -> Message {
        let body: JSONValue = [
            "generation": .integer(generation), "nonce": .string(nonce), "tasks": .string(tasks.description),
        ]
        return Message(type: reopenedType, contentType: "application/json", headers: header(batch), body: body.bytes)
    }

    /// Encodes which tasks are of the pilot; the creator appends it before it publishes them.
    package static func pilot(batch: Name, tasks: IndexRanges) -> Message {
        let body: JSONValue = ["tasks": .string(tasks.description)]
        return Message(type: pilotType, contentType: "application/json", headers: header(batch), body: body.bytes)
    }

    /// Encodes the return of a leased task to its queue.
    package static func returned(batch: Name, lease: String) -> Message {
        Message(type: returnedType, headers: header(batch) + [.init("sheaf-lease", .string(lease))])
    }

    /// Encodes that a task waits for its next attempt.
    package static func delayed(_ task: BatchTask, for delay: Duration) -> Message {
        let (seconds, attoseconds) = delay.components
        let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        return Message(
            type: delayedType,
            headers: header(task.batch) + [
                .init("sheaf-index", .integer(Int64(task.index))),
                .init("sheaf-generation", .integer(Int64(task.generation))),
                .init("sheaf-delay", .integer(milliseconds)),
            ]
        )
    }

    /// Encodes a checkpoint of the log's content before an offset.
    package static func checkpoint(batch: Name, of state: BatchState, upTo offset: Int64) -> Message {
        Message(
            type: checkpointType,
            contentType: "application/octet-stream",
            headers: header(batch) + [.init("sheaf-offset", .integer(offset))],
            body: state.snapshot
        )
    }

    /// Decodes a checkpoint; returns nil if the message is not a complete checkpoint.
    package static func checkpoint(_ message: Message) -> (state: BatchState, offset: Int64)? {
        guard message.type == checkpointType, let offset = message.integer("sheaf-offset"),
            let state = BatchState(snapshot: message.body)
        else { return nil }
        return (state, Int64(offset))
    }

    private static func header(_ batch: Name) -> [Message.Header] {
        [.init("sheaf-batch", .string(batch.text))]
    }

    /// Decodes the time of a `started` message.
    package static func startedAt(_ message: Message) -> Timestamp? {
        guard message.type == startedType else { return nil }
        return (try? JSON.members(["started_at"], of: message.body))?["started_at"]?.stringValue.flatMap {
            Timestamp($0)
        }
    }

    /// Decodes the summaries of a message's outcomes; omits and counts invalid lines.
    package static func summaries(of message: Message) -> (outcomes: [OutcomeSummary], unreadable: Int) {
        guard message.type == outcomesType else { return ([], 0) }
        var outcomes: [OutcomeSummary] = []
        var unreadable = 0
        message.body.withUnsafeBufferPointer { body in
            for range in lines(of: body) {
                do throws(UnreadableMessage) {
                    outcomes.append(try OutcomeSummary(line: UnsafeBufferPointer(rebasing: body[range])))
                } catch {
                    unreadable += 1
                }
            }
        }
        return (outcomes, unreadable)
    }

    /// Decodes the summaries of a message's outcomes, with the range of each line in the body; omits invalid lines.
    package static func summarizedLines(of message: Message) -> [(summary: OutcomeSummary, line: Range<Int>)] {
        guard message.type == outcomesType else { return [] }
        return message.body.withUnsafeBufferPointer { body in
            lines(of: body).compactMap { range in
                (try? OutcomeSummary(line: UnsafeBufferPointer(rebasing: body[range]))).map { ($0, range) }
            }
        }
    }

    /// Decodes the outcomes of a message; omits invalid lines.
    package static func outcomes(of message: Message) -> [Outcome] {
        guard message.type == outcomesType else { return [] }
        return message.body.withUnsafeBufferPointer { body in
            lines(of: body).compactMap { try? Outcome(line: Array(body[$0])) }
        }
    }

    private static func lines(of body: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var start = 0
        while start < body.count {
            let end = body[start...].firstIndex(of: UInt8(ascii: "\n")) ?? body.count
            if end > start { ranges.append(start..<end) }
            start = end + 1
        }
        return ranges
    }
}

/// An entry of a results log, decoded for the fold.
package enum ResultEvent: Sendable, Equatable {
    /// A worker started its first task of the batch.
    case started(at: Timestamp)
    /// Tasks ended; `unreadable` is the number of invalid lines.
    case outcomes([OutcomeSummary], unreadable: Int)
    /// Tasks run again as a later generation, once the journal has a `retried` entry with this nonce.
    case reopened(generation: Int, nonce: String, tasks: IndexRanges)
    /// These tasks are of the pilot.
    case pilot(tasks: IndexRanges)
    /// These tasks get the outcomes of others.
    case twins([Twin])
    /// A worker leased a task; see ``TaskLease``.
    case leased(TaskLease)
    /// A leased task was returned to its queue.
    case returned(lease: String)
    /// Something about tasks that are leased together; see ``BulkEvent``.
    case bulk(BulkEvent)
    /// A task asks a question, no longer waits for it, or has an answer.
    case question(QuestionEntry)
    /// A task waits for its next attempt.
    case delayed(index: Int, generation: Int, for: Duration)
    /// A checkpoint of all earlier entries; see ``BatchState/snapshot``.
    case checkpoint
    /// An entry that this version does not know, or that is invalid.
    case unknown

    /// Decodes an entry.
    package init(_ message: Message) {
        switch message.type {
        case ResultMessage.outcomesType:
            let (outcomes, unreadable) = ResultMessage.summaries(of: message)
            self = .outcomes(outcomes, unreadable: unreadable)
        case ResultMessage.startedType:
            self = ResultMessage.startedAt(message).map { .started(at: $0) } ?? .unknown
        case ResultMessage.reopenedType:
            guard let body = try? JSON.parse(message.body), let generation = body["generation"]?.intValue,
                (1..<BatchState.maximumTasks).contains(generation),
                let nonce = body["nonce"]?.stringValue,
                let tasks = body["tasks"]?.stringValue.flatMap({ IndexRanges($0) })
            else {
                self = .unknown
                return
            }
            self = .reopened(generation: generation, nonce: nonce, tasks: tasks)
        case ResultMessage.pilotType:
            let tasks = (try? JSON.parse(message.body))?["tasks"]?.stringValue.flatMap { IndexRanges($0) }
            self = tasks.map { .pilot(tasks: $0) } ?? .unknown
        case Twin.messageType: self = Twin.list(message).map { .twins($0) } ?? .unknown
        case ResultMessage.leasedType:
            self = TaskLease(message).map { .leased($0) } ?? .unknown
        case ResultMessage.returnedType:
            self = message.string("sheaf-lease").map { .returned(lease: $0) } ?? .unknown
        case ResultMessage.delayedType:
            guard let index = message.integer("sheaf-index"), (0..<BatchState.maximumTasks).contains(index),
                let delay = message.integer("sheaf-delay"), (0...Self.longestDelay).contains(delay)
            else {
                self = .unknown
                return
            }
            self = .delayed(
                index: index,
                generation: message.integer("sheaf-generation") ?? 0,
                for: .milliseconds(delay)
            )
        case ResultMessage.checkpointType: self = .checkpoint
        case BulkEvent.begunType, BulkEvent.rememberedType, BulkEvent.offeredType, BulkEvent.adoptedType:
            self = BulkEvent(message).map { .bulk($0) } ?? .unknown
        default: self = QuestionEntry(message).map { .question($0) } ?? .unknown
        }
    }

    /// The maximum delay that is accepted, in milliseconds: one week.
    private static let longestDelay = 7 * 24 * 3_600_000
}
