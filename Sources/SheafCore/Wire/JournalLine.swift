/// An entry of the journal as it stands in a checkpoint: an object with `type`, `batch`, `flow` and `body`.
struct JournalLine {
    /// The batch.
    let batch: Name
    /// The entry; nil where this version does not know its type.
    let entry: JournalEntry?

    /// Reads a line; nil where it is none.
    init?(_ line: ArraySlice<UInt8>) {
        guard let value = try? JSON.parse(Array(line)), let type = value["type"]?.stringValue,
            let batch = value["batch"]?.stringValue.flatMap({ Name($0) }),
            let flow = value["flow"]?.stringValue.flatMap({ Name($0) }), let body = value["body"]
        else { return nil }
        self.batch = batch
        self.entry = JournalEntry(batch: batch, flow: flow, type: type, body: body)
    }

    /// The line of a message, without the line feed; nil where the message can be no entry of any version.
    static func bytes(of message: Message) -> [UInt8]? {
        guard let batch = message.string("sheaf-batch"), Name(batch) != nil, let flow = message.string("sheaf-flow"),
            Name(flow) != nil, message.body.count <= JournalEntry.maximumSize, let body = try? JSON.parse(message.body)
        else { return nil }
        let line: JSONValue = [
            "type": .string(message.type), "batch": .string(batch), "flow": .string(flow), "body": body,
        ]
        return line.bytes
    }
}
