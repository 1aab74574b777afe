/// The aggregator's word on all active batches.
public struct ProgressMessage: Sendable, Equatable {
    /// The type of such messages.
    public static let messageType = "progress"

    /// When it was written.
    public var at: Timestamp
    /// The batches that are not finished.
    public var batches: [BatchProgress]

    /// Makes a progress message.
    public init(at: Timestamp, batches: [BatchProgress]) {
        self.at = at
        self.batches = batches
    }

    /// The message for the broker.
    public var message: Message {
        let body: JSONValue = ["at": .string(at.description), "batches": .array(batches.map(\.json))]
        return Message(type: Self.messageType, contentType: "application/json", body: body.bytes)
    }

    /// Reads a progress message; nil where it is none.
    public init?(_ message: Message) {
        guard message.type == Self.messageType, let body = try? JSON.parse(message.body),
            let at = body["at"]?.stringValue.flatMap({ Timestamp($0) })
        else { return nil }
        self.init(at: at, batches: (body["batches"]?.arrayValue ?? []).compactMap(BatchProgress.init(json:)))
    }
}
