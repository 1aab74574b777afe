/// A message to publish.
package struct AMQPMessage: Sendable, Hashable {
    /// The exchange to publish to; empty for the default exchange, which routes to the queue named by `routingKey`.
    package var exchange: String
    /// The routing key.
    package var routingKey: String
    /// The properties and headers.
    package var properties: AMQPProperties
    /// The body.
    package var body: [UInt8]

    /// Makes a message.
    package init(
        exchange: String = "",
        routingKey: String,
        properties: AMQPProperties = AMQPProperties(),
        body: [UInt8]
    ) {
        self.exchange = exchange
        self.routingKey = routingKey
        self.properties = properties
        self.body = body
    }
}

/// The properties of a message; nil means that a property is not sent.
///
/// Strings are limited to 255 bytes of UTF-8, and the headers must fit into one frame.
package struct AMQPProperties: Sendable, Hashable {
    /// The MIME type of the body.
    package var contentType: String?
    /// The encoding of the body, such as `gzip`.
    package var contentEncoding: String?
    /// The headers of the application.
    package var headers: AMQPTable?
    /// Whether the message survives a restart of the broker.
    package var deliveryMode: AMQPDeliveryMode?
    /// The priority, used by queues that have priorities.
    package var priority: UInt8?
    /// The identifier of the request or message to which this message belongs.
    package var correlationID: String?
    /// The queue to which a reply is sent.
    package var replyTo: String?
    /// The time to live in milliseconds, as decimal digits.
    package var expiration: String?
    /// The identifier of the message.
    package var messageID: String?
    /// The time at which the message was created, in seconds since 1970.
    package var timestamp: UInt64?
    /// The kind of message.
    package var type: String?
    /// The user who sent it; the broker refuses any name other than the connection's user.
    package var userID: String?
    /// The application that sent it.
    package var appID: String?

    /// Makes a set of properties.
    package init(
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

/// Whether a message survives a restart of the broker.
package struct AMQPDeliveryMode: RawRepresentable, Sendable, Hashable {
    /// The number on the wire.
    package var rawValue: UInt8

    /// Makes a mode from the number on the wire.
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The message may be lost if the broker restarts.
    package static let transient = AMQPDeliveryMode(rawValue: 1)

    /// Durable queues write the message to disk.
    package static let persistent = AMQPDeliveryMode(rawValue: 2)
}
