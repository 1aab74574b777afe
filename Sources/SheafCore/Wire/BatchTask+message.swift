extension BatchTask {
    /// The type of messages that are tasks.
    public static let messageType = "task"

    /// The task as a message.
    public var message: Message {
        var headers: [Message.Header] = [
            .init("sheaf-flow", .string(flow.text)),
            .init("sheaf-batch", .string(batch.text)),
            .init("sheaf-index", .integer(Int64(index))),
            .init("sheaf-record", .string(record.id)),
        ]
        if generation > 0 { headers.append(.init("sheaf-generation", .integer(Int64(generation)))) }
        if attempt > 1 { headers.append(.init("sheaf-attempt", .integer(Int64(attempt)))) }
        if let parameters { headers.append(.init("sheaf-parameters", .string(parameters))) }
        if !errors.isEmpty {
            let text = AttemptError.json(AttemptError.bounded(errors)).text
            headers.append(.init("sheaf-errors", .string(text)))
        }
        return Message(
            id: id,
            type: Self.messageType,
            contentType: record.kind.contentType,
            headers: headers,
            body: record.bytes
        )
    }

    /// Reads a task from a message; throws ``UnreadableMessage`` where it is none.
    public init(_ message: Message) throws(UnreadableMessage) {
        guard message.type == Self.messageType else {
            throw UnreadableMessage("its type is '\(message.type.prefix(40))', not 'task'")
        }
        func name(_ header: String) throws(UnreadableMessage) -> Name {
            guard let name = message.string(header).flatMap({ Name($0) }) else {
                throw UnreadableMessage("its header \(header) is not \(Name.rule)")
            }
            return name
        }
        func number(_ header: String, from least: Int, default standard: Int?) throws(UnreadableMessage) -> Int {
            if message[header] == nil, let standard { return standard }
            guard let value = message.integer(header), (least..<BatchState.maximumTasks).contains(value) else {
                throw UnreadableMessage("its header \(header) is not a whole number from \(least)")
            }
            return value
        }
        self.init(
            flow: try name("sheaf-flow"),
            batch: try name("sheaf-batch"),
            index: try number("sheaf-index", from: 0, default: nil),
            generation: try number("sheaf-generation", from: 0, default: 0),
            attempt: try number("sheaf-attempt", from: 1, default: 1),
            record: Record(id: "", kind: Record.Kind(contentType: message.contentType), bytes: message.body),
            parameters: message.string("sheaf-parameters"),
            errors: message.string("sheaf-errors").map { AttemptError.list(text: $0) } ?? []
        )
        let identifier = message.string("sheaf-record") ?? String(index)
        guard identifier.utf8.count <= Record.maximumIDSize else {
            throw UnreadableMessage("its header sheaf-record is longer than \(Record.maximumIDSize) bytes")
        }
        guard message.body.count <= Record.maximumSize else {
            throw UnreadableMessage("its body has \(message.body.count) bytes; the limit is \(Record.maximumSize)")
        }
        record.id = identifier
    }
}

/// Says why a message can not be read.
public struct UnreadableMessage: Error, Sendable, Equatable, CustomStringConvertible {
    /// The reason, continuing "the message can not be read: ".
    public let reason: String

    /// Makes an error.
    public init(_ reason: String) { self.reason = reason }

    /// The reason as a sentence.
    public var description: String { "the message can not be read: \(reason)" }
}
