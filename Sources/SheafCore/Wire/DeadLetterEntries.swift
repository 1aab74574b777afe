/// An entry in the log of dead letters that records when letters up to an offset were first seen.
///
/// Sheaf writes it for brokers whose logs have no timestamps. If several apply to one letter, the first one counts.
package struct DeadLetterSighting: Sendable, Hashable {
    /// The offset of the last letter that the entry applies to, along with all earlier unseen letters.
    package var last: Int64
    /// When the letters were seen.
    package var at: Timestamp

    package static let messageType = "seen"
    private static let lastHeader = "sheaf-last"
    private static let timeHeader = "sheaf-at"

    package init(last: Int64, at: Timestamp) {
        self.last = last
        self.at = at
    }

    package var message: Message {
        Message(
            type: Self.messageType,
            headers: [.init(Self.lastHeader, .integer(last)), .init(Self.timeHeader, .string(at.description))]
        )
    }

    /// Decodes a sighting; returns nil for any other message, including a dead-lettered sighting.
    package init?(_ message: Message) {
        guard message.type == Self.messageType, message[DeathHeaders.reason] == nil,
            let last = message.integer(Self.lastHeader),
            let at = message.string(Self.timeHeader).flatMap(Timestamp.init)
        else { return nil }
        self.init(last: Int64(last), at: at)
    }
}

/// An entry in the log of dead letters that dismisses some of them, since a log cannot delete single entries.
package enum Dismissal: Sendable, Hashable {
    /// Dismisses all letters before an offset.
    case before(Int64)
    /// Dismisses the letter at an offset because it was requeued.
    case requeued(Int64)

    package static let messageType = "dismissed"
    private static let beforeHeader = "sheaf-before"
    private static let requeuedHeader = "sheaf-requeued"

    package var message: Message {
        let header: Message.Header =
            switch self {
            case .before(let offset): .init(Self.beforeHeader, .integer(offset))
            case .requeued(let offset): .init(Self.requeuedHeader, .integer(offset))
            }
        return Message(type: Self.messageType, headers: [header])
    }

    /// Decodes a dismissal; returns nil for any other message, including a dead-lettered dismissal.
    package init?(_ message: Message) {
        guard message.type == Self.messageType, message[DeathHeaders.reason] == nil else { return nil }
        if let offset = message.integer(Self.beforeHeader) {
            self = .before(Int64(offset))
        } else if let offset = message.integer(Self.requeuedHeader) {
            self = .requeued(Int64(offset))
        } else {
            return nil
        }
    }
}

/// The headers in which a broker records why a message was dead-lettered.
package enum DeathHeaders {
    /// The reason, such as `delivery_limit` or `rejected`.
    package static let reason = "x-first-death-reason"
    /// The queue that the message was first dead-lettered from.
    package static let queue = "x-first-death-queue"

    /// Returns a message without them, for its way back to a queue.
    package static func removed(from message: Message) -> Message {
        var message = message
        message.headers.removeAll { $0.name == reason || $0.name == queue }
        return message
    }
}
