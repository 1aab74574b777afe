/// A consumer of a queue: hands out deliveries in batches, never more than the prefetch of its channel unsettled.
public struct AMQPConsumer: Sendable {
    /// The channel it consumes on, and on which its deliveries are settled.
    public let channel: AMQPChannel
    /// Its tag.
    public let tag: String
    let state: ConsumerState

    /// Waits for deliveries and hands out all that have arrived, at least one; nil after `cancel`.
    ///
    /// One task may wait at a time.
    ///
    /// - Throws: `consumerCancelled` if the broker ended it, `channelClosed`, `connectionLost` or `closed` if that is
    ///   why it ended, each after the deliveries that came before; `cancelled` if the waiting task was cancelled,
    ///   in which case nothing is lost and the consumer goes on.
    public func next() async throws(AMQPError) -> [AMQPDelivery]? {
        try await self.state.next().get()
    }

    /// Ends the consumer and returns what had arrived and was not handed out, still to be settled.
    @discardableResult
    public func cancel() async throws(AMQPError) -> [AMQPDelivery] {
        try await self.channel.connection.cancel(self)
    }
}
