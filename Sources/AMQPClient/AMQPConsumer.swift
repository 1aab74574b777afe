/// A consumer of a queue, which returns deliveries in batches and has at most the channel's prefetch unsettled.
public struct AMQPConsumer: Sendable {
    /// The channel on which it consumes and on which its deliveries are settled.
    public let channel: AMQPChannel
    /// Its tag.
    public let tag: String
    let state: ConsumerState

    /// Waits for deliveries and returns all that have arrived, at least one; returns nil after `cancel`.
    ///
    /// One task may wait at a time.
    ///
    /// - Throws: `consumerCancelled` if the broker ended it; `channelClosed`, `connectionLost` or `closed` if the
    ///   channel or connection ended, in each case after earlier deliveries were returned; `cancelled` if the waiting
    ///   task was cancelled, in which case nothing is lost and the consumer continues.
    public func next() async throws(AMQPError) -> [AMQPDelivery]? {
        try await state.next().get()
    }

    /// Whether it was cancelled, here or by the broker, or lost its channel or connection.
    public var hasEnded: Bool { state.hasEnded }

    /// Ends the consumer and returns deliveries that arrived but were not returned by `next`; they are unsettled.
    @discardableResult
    public func cancel() async throws(AMQPError) -> [AMQPDelivery] {
        try await channel.connection.cancel(self)
    }
}

/// A delivered message that must be settled.
public struct AMQPDelivery: Sendable, Hashable {
    /// The epoch of the connection on which it arrived; its tag is invalid on any other connection.
    public let epoch: UInt64
    /// The number of the channel on which it arrived.
    public let channelNumber: UInt16
    /// The identity of the channel on which it arrived, unique in the process, whereas channel numbers are reused.
    public let channelID: UInt64
    /// The tag by which it is settled, valid only on its own channel.
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
    public var headers: AMQPTable { properties.headers ?? AMQPTable() }
}
