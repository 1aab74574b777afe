/// A task whose record is identical to an earlier one of its batch: it is not published, and gets the other's outcome.
package struct Twin: Sendable, Hashable {
    /// The task's index.
    package var index: Int
    /// The index of the task that runs.
    package var first: Int
    /// The id of the task's own record.
    package var recordID: String

    package init(index: Int, first: Int, recordID: String) {
        (self.index, self.first, self.recordID) = (index, first, recordID)
    }

    /// The type of the messages that name twins.
    package static let messageType = "twins"
    /// The maximum number of twins in one message.
    package static let maximumCount = 500

    /// Encodes twins; the creator appends the message before it records in the journal that their tasks are published.
    package static func message(batch: Name, _ twins: some Sequence<Twin>) -> Message {
        let entries = twins.map { twin -> JSONValue in
            [.integer(twin.index), .integer(twin.first), .string(twin.recordID)]
        }
        return Message(
            type: messageType,
            contentType: "application/json",
            headers: [.init("sheaf-batch", .string(batch.text))],
            body: (["twins": .array(entries)] as JSONValue).bytes
        )
    }

    /// Decodes the twins of a message; returns nil if an entry is invalid or there are too many.
    package static func list(_ message: Message) -> [Twin]? {
        guard message.type == messageType,
            let entries = (try? JSON.parse(message.body))?["twins"]?.arrayValue, entries.count <= maximumCount
        else { return nil }
        let twins = entries.compactMap { Twin($0.arrayValue ?? []) }
        return twins.count == entries.count ? twins : nil
    }

    private init?(_ entry: [JSONValue]) {
        let indices = 0..<BatchState.maximumTasks
        guard entry.count == 3, let index = entry[0].intValue, indices.contains(index), let first = entry[1].intValue,
            indices.contains(first), first != index, let id = entry[2].stringValue
        else { return nil }
        self.init(index: index, first: first, recordID: id)
    }
}
