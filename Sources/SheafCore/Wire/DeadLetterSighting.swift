/// Says in the log of dead letters when those up to an offset were seen there for the first time.
///
/// Written for brokers whose logs tell no times. Of several that are for one letter the first counts.
public struct DeadLetterSighting: Sendable, Hashable {
    /// The offset of the last letter it is for, and so for all before it that nobody had seen.
    public var last: Int64
    /// When they were seen.
    public var at: Timestamp

    /// The type of such messages.
    public static let messageType = "seen"
    private static let lastHeader = "sheaf-last"
    private static let timeHeader = "sheaf-at"

    /// Makes a sighting.
    public init(last: Int64, at: Timestamp) {
        self.last = last
        self.at = at
    }

    /// The sighting as a message.
    public var message: Message {
        Message(
            type: Self.messageType,
            headers: [.init(Self.lastHeader, .integer(last)), .init(Self.timeHeader, .string(at.description))]
        )
    }

    /// Reads a sighting; nil where the message is none, such as one that has died itself.
    public init?(_ message: Message) {
        guard message.type == Self.messageType, message[DeathHeaders.reason] == nil,
            let last = message.integer(Self.lastHeader),
            let at = message.string(Self.timeHeader).flatMap(Timestamp.init)
        else { return nil }
        self.init(last: Int64(last), at: at)
    }
}
