/// A message to publish.
public struct AMQPMessage: Sendable, Hashable {
    /// The exchange to publish to; empty for the default exchange, which routes to the queue named by `routingKey`.
    public var exchange: String
    /// The routing key.
    public var routingKey: String
    /// The properties and headers.
    public var properties: AMQPProperties
    /// The body.
    public var body: [UInt8]

    /// Makes a message.
    public init(
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
