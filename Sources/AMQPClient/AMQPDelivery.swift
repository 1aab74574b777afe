/// A message that the broker delivered and that waits to be acknowledged.
public struct AMQPDelivery: Sendable, Hashable {
    /// The epoch of the connection it came on; its tag means nothing on any other.
    public let epoch: UInt64
    /// The number of the channel it came on.
    public let channelNumber: UInt16
    /// The identity of the channel it came on, unique in the process though channel numbers are used again.
    public let channelID: UInt64
    /// The tag to settle it by, on its own channel only.
    public let deliveryTag: UInt64
    /// The consumer it was sent to; empty for one fetched with `get`.
    public let consumerTag: String
    /// Whether it may have been delivered before.
    public let isRedelivered: Bool
    /// The exchange it was published to.
    public let exchange: String
    /// The routing key it was published with.
    public let routingKey: String
    /// The properties.
    public let properties: AMQPProperties
    /// The body.
    public let body: [UInt8]

    /// The headers; empty when there are none.
    public var headers: AMQPTable { self.properties.headers ?? AMQPTable() }
}
