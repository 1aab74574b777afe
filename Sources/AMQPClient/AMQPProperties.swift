/// The properties of a message; nil means that a property is not on the wire.
///
/// Texts are limited to 255 bytes of UTF-8, headers to what fits one frame.
public struct AMQPProperties: Sendable, Hashable {
    /// The MIME type of the body.
    public var contentType: String?
    /// The encoding of the body, such as `gzip`.
    public var contentEncoding: String?
    /// The headers of the application.
    public var headers: AMQPTable?
    /// Whether the message survives a restart of the broker.
    public var deliveryMode: AMQPDeliveryMode?
    /// The priority, used by queues that have priorities.
    public var priority: UInt8?
    /// What this message belongs to.
    public var correlationID: String?
    /// Where to send a reply.
    public var replyTo: String?
    /// The time to live in milliseconds, as decimal digits.
    public var expiration: String?
    /// The identifier of the message.
    public var messageID: String?
    /// When the message was made, in seconds since 1970.
    public var timestamp: UInt64?
    /// The kind of message.
    public var type: String?
    /// The user who sent it; the broker refuses any other name than the connection's.
    public var userID: String?
    /// The application that sent it.
    public var appID: String?

    /// Makes a set of properties.
    public init(
        contentType: String? = nil,
        contentEncoding: String? = nil,
        headers: AMQPTable? = nil,
        deliveryMode: AMQPDeliveryMode? = nil,
        priority: UInt8? = nil,
        correlationID: String? = nil,
        replyTo: String? = nil,
        expiration: String? = nil,
        messageID: String? = nil,
        timestamp: UInt64? = nil,
        type: String? = nil,
        userID: String? = nil,
        appID: String? = nil
    ) {
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.headers = headers
        self.deliveryMode = deliveryMode
        self.priority = priority
        self.correlationID = correlationID
        self.replyTo = replyTo
        self.expiration = expiration
        self.messageID = messageID
        self.timestamp = timestamp
        self.type = type
        self.userID = userID
        self.appID = appID
    }
}
