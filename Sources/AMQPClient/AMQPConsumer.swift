/// A consumer of a queue, which returns deliveries in batches and has at most the channel's prefetch unsettled.
package struct AMQPConsumer: Sendable {
    /// The channel on which it consumes and on which its deliveries are settled.
    package let channel: AMQPChannel
    /// Its tag.
    package let tag: String
    let state: ConsumerState

    /// Waits for deliveries and returns all that have arrived, at least one; returns nil after `cancel`.
    ///
    /// One task may wait at a time.
    ///
    /// - Throws: `consumerCancelled` if the broker ended it; `channelClosed`, `connectionLost` or `closed` if the
    ///   channel or connection ended, in each case after earlier deliveries were returned; `cancelled` if the waiting
    ///   task was cancelled, in which case nothing is lost and the consumer continues.
    package func next() async throws(AMQPError) -> [AMQPDelivery]? {
        try await state.next().get()
    }

    /// Whether it was cancelled, here or by the broker, or lost its channel or connection.
    package var hasEnded: Bool { state.hasEnded }

    /// Ends the consumer and returns deliveries that arrived but were not returned by `next`; they are unsettled.
    @discardableResult
    package func cancel() async throws(AMQPError) -> [AMQPDelivery] {
        try await channel.connection.cancel(self)
    }
}

/// A delivered message that must be settled.
package struct AMQPDelivery: Sendable, Hashable {
    /// The epoch of the connection on which it arrived; its tag is invalid on any other connection.
    package let epoch: UInt64
    /// The number of the channel on which it arrived.
    package let channelNumber: UInt16
    /// The identity of the channel on which it arrived, unique in the process, whereas channel numbers are reused.
    package let channelID: UInt64
    /// The tag by which it is settled, valid only on its own channel.
    package let deliveryTag: UInt64
    /// The consumer it was sent to; empty for one fetched with `get`.
    package let consumerTag: String
    /// Whether it may have been delivered before.
    package let isRedelivered: Bool
    /// The exchange it was published to.
    package let exchange: String
    /// The routing key it was published with.
    package let routingKey: String
    /// The properties.
    package let properties: AMQPProperties
    /// The body.
    package let body: [UInt8]

    /// The headers; empty when there are none.
    package var headers: AMQPTable { properties.headers ?? AMQPTable() }
}
