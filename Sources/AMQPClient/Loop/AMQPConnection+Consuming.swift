extension AMQPConnection {
    /// Starts a consumer; it is known before the broker is asked, so that no delivery comes too early.
    func consume(
        _ queue: String,
        tag: String?,
        exclusive: Bool,
        arguments: AMQPTable,
        on channel: AMQPChannel
    ) async throws(AMQPError) -> AMQPConsumer {
        let state = try self.state(of: channel)
        guard state.prefetchIsSet else {
            throw AMQPError(.invalidArgument, "the prefetch of channel \(channel.number) is not set")
        }
        let tag = tag ?? "c\(self.epoch).\(channel.id).\(self.nextTicket())"
        guard state.consumer(tag) == nil, !tag.isEmpty else {
            throw AMQPError(.invalidArgument, "the consumer tag \"\(tag)\" is in use or empty")
        }
        let consumer = ConsumerState(tag: tag)
        state.add(consumer)
        do throws(AMQPError) {
            let method = OutboundMethod.consume(queue, tag: tag, exclusive: exclusive, arguments: arguments)
            _ = try await self.call(method, on: state)
        } catch {
            state.removeConsumer(tag)
            throw error
        }
        return AMQPConsumer(channel: channel, tag: tag, state: consumer)
    }

    /// Ends a consumer and returns what it has not handed out.
    func cancel(_ consumer: AMQPConsumer) async throws(AMQPError) -> [AMQPDelivery] {
        guard let channel = self.channels[consumer.channel.number], channel.id == consumer.channel.id,
            channel.consumer(consumer.tag) === consumer.state
        else { return consumer.state.cancel() }
        _ = try await self.call(.cancel(tag: consumer.tag), on: channel)
        channel.removeConsumer(consumer.tag)
        return consumer.state.cancel()
    }
}
