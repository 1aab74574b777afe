/// What stands in a results log: that a worker has begun with the batch, or how tasks ended.
public enum ResultMessage {
    /// The type of messages that carry outcomes, one JSON object a line.
    public static let outcomesType = "outcomes"
    /// The type of the message a worker appends before it runs its first task of a batch.
    public static let startedType = "started"
    /// The type of messages that open tasks again.
    public static let reopenedType = "reopened"
    /// The type of messages that hold a task whose worker needs longer than the broker waits.
    public static let leasedType = "leased"
    /// The type of messages that say that a leased task is back in its queue.
    public static let returnedType = "returned"
    /// The type of messages that say that a task waits for another attempt.
    public static let delayedType = "delayed"
    /// The type of the aggregator's checkpoints.
    public static let checkpointType = "checkpoint"
    /// The most outcomes that one message carries.
    public static let maximumOutcomes = 500
    /// The size in bytes from which a message takes no further outcome.
    public static let softSize = 256 << 10

    /// Makes the message that tells of a worker's first start in a batch.
    public static func started(batch: Name, worker: String, at moment: Timestamp) -> Message {
        let body: JSONValue = ["worker": .string(worker), "started_at": .string(moment.description)]
        return Message(type: startedType, contentType: "application/json", headers: header(batch), body: body.bytes)
    }

    /// Makes a message of outcome lines that ``Outcome/writeLine(to:)`` has written.
    public static func outcomes(batch: Name, lines: [UInt8]) -> Message {
        Message(type: outcomesType, contentType: "application/x-ndjson", headers: header(batch), body: lines)
    }

    /// Makes a message that opens tasks again for a generation; it counts once the journal has a `retried` of that nonce.
    public static func reopened(batch: Name, generation: Int, nonce: String, tasks: IndexRanges) -> Message {
        let body: JSONValue = [
            "generation": .integer(generation), "nonce": .string(nonce), "tasks": .string(tasks.description),
        ]
        return Message(type: reopenedType, contentType: "application/json", headers: header(batch), body: body.bytes)
    }

    /// Makes the message that says that a leased task is back in its queue.
    public static func returned(batch: Name, lease: String) -> Message {
        Message(type: returnedType, headers: header(batch) + [.init("sheaf-lease", .string(lease))])
    }

    /// Makes the message that says that a task waits for another attempt.
    public static func delayed(_ task: BatchTask, for delay: Duration) -> Message {
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

    /// Makes a checkpoint of all that stands before an offset of the log.
    public static func checkpoint(batch: Name, of state: BatchState, upTo offset: Int64) -> Message {
        Message(
            type: checkpointType,
            contentType: "application/octet-stream",
            headers: header(batch) + [.init("sheaf-offset", .integer(offset))],
            body: state.snapshot
        )
    }

    /// What a checkpoint holds; nil where the message is none, or is not whole.
    public static func checkpoint(_ message: Message) -> (state: BatchState, offset: Int64)? {
        guard message.type == checkpointType, let offset = message.integer("sheaf-offset"),
            let state = BatchState(snapshot: message.body)
        else { return nil }
        return (state, Int64(offset))
    }

    private static func header(_ batch: Name) -> [Message.Header] {
        [.init("sheaf-batch", .string(batch.text))]
    }

    /// The moment a `started` message names.
    public static func startedAt(_ message: Message) -> Timestamp? {
        guard message.type == startedType else { return nil }
        return (try? JSON.members(["started_at"], of: message.body))?["started_at"]?.stringValue.flatMap {
            Timestamp($0)
        }
    }

    /// The summaries of a message's outcomes; lines nobody can read are left out and counted.
    public static func summaries(of message: Message) -> (outcomes: [OutcomeSummary], unreadable: Int) {
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

    /// The outcomes of a message; lines nobody can read are left out.
    public static func outcomes(of message: Message) -> [Outcome] {
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
