/// Says in the log of dead letters that nobody needs to look at some of them any more: a log gives nothing up.
public enum Dismissal: Sendable, Hashable {
    /// All that stand before an offset.
    case before(Int64)
    /// The one at an offset, which went back to its queue.
    case requeued(Int64)

    /// The type of such messages.
    public static let messageType = "dismissed"
    private static let beforeHeader = "sheaf-before"
    private static let requeuedHeader = "sheaf-requeued"

    /// The dismissal as a message.
    public var message: Message {
        let header: Message.Header =
            switch self {
            case .before(let offset): .init(Self.beforeHeader, .integer(offset))
            case .requeued(let offset): .init(Self.requeuedHeader, .integer(offset))
            }
        return Message(type: Self.messageType, headers: [header])
    }

    /// Reads a dismissal; nil where the message is none, such as one that has died itself.
    public init?(_ message: Message) {
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

/// The headers with which a broker says why a message in a log is dead.
public enum DeathHeaders {
    /// Why it died, such as `delivery_limit` or `rejected`.
    public static let reason = "x-first-death-reason"
    /// The queue it died in first.
    public static let queue = "x-first-death-queue"
}
