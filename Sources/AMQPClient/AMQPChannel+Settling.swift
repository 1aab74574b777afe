extension AMQPChannel {
    /// Acknowledges deliveries of this channel, in as few frames as is safe.
    ///
    /// Returns when the acknowledgements are queued for the socket; the broker does not confirm them.
    ///
    /// - Throws: `invalidArgument`, and nothing is sent, if a tag was never delivered here or is already settled.
    public func acknowledge(_ tags: [UInt64]) async throws(AMQPError) {
        try await self.connection.acknowledge(tags, on: self)
    }

    /// Acknowledges every unsettled delivery of this channel up to and including a tag.
    public func acknowledge(upTo tag: UInt64) async throws(AMQPError) {
        try await self.connection.acknowledge(upTo: tag, on: self)
    }

    /// Rejects deliveries of this channel: back to the queue, or away (to the dead-letter exchange, if there is one).
    ///
    /// AMQP knows no rejection of many, so each takes a frame; they go out in the order of the tags here.
    ///
    /// - Throws: `invalidArgument`, and nothing is sent, if a tag was never delivered here or is already settled.
    public func reject(_ tags: [UInt64], requeue: Bool) async throws(AMQPError) {
        try await self.connection.reject(tags, requeue: requeue, on: self)
    }

    /// Refuses deliveries of this channel; on RabbitMQ 4.3 and later unlike `reject` not counted as failures.
    ///
    /// A stream does not know it: the broker closes the whole connection with 540.
    public func nack(_ tags: [UInt64], requeue: Bool) async throws(AMQPError) {
        try await self.connection.nack(tags, requeue: requeue, on: self)
    }
}
