/// What stands in a results log: that a worker has begun with the batch, or how tasks ended.
public enum ResultMessage {
    /// The type of messages that carry outcomes, one JSON object a line.
    public static let outcomesType = "outcomes"
    /// The type of the message a worker appends before it runs its first task of a batch.
    public static let startedType = "started"
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
        guard message.type == outcomesType else { return ([], message.type == startedType ? 0 : 1) }
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
