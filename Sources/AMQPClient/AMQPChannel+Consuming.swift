extension AMQPChannel {
    /// Sets how many unsettled deliveries each consumer started after this may have out.
    ///
    /// - Parameter count: At least 1; a consumer cannot be started before this is set.
    public func setPrefetch(_ count: UInt16) async throws(AMQPError) {
        guard count > 0 else { throw AMQPError(.invalidArgument, "a prefetch of 0 would be unlimited") }
        _ = try await self.connection.call(.prefetch(count), on: self)
    }

    /// Starts a consumer on a queue; deliveries wait to be acknowledged.
    ///
    /// - Parameters:
    ///   - queue: The name of the queue.
    ///   - tag: A name for the consumer, unique on the channel; one is made up when there is none.
    ///   - exclusive: Whether to be the only consumer of the queue.
    ///   - arguments: For instance `x-stream-offset` or `x-priority`.
    public func consume(
        _ queue: String,
        tag: String? = nil,
        exclusive: Bool = false,
        arguments: AMQPTable = AMQPTable()
    ) async throws(AMQPError) -> AMQPConsumer {
        try await self.connection.consume(queue, tag: tag, exclusive: exclusive, arguments: arguments, on: self)
    }

    /// Fetches one message of a queue, or nil when there is none ready.
    public func get(_ queue: String) async throws(AMQPError) -> AMQPDelivery? {
        switch try await self.connection.call(.get(queue), on: self) {
        case .fetched(let delivery): delivery
        case .getEmpty: nil
        case let reply: throw AMQPConnection.unexpected(reply)
        }
    }
}
