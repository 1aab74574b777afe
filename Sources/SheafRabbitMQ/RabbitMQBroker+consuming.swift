import AMQPClient
public import SheafBroker

extension RabbitMQBroker {
    /// Starts to receive from a queue, on a channel of its own.
    public func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer {
        try QueueArguments.check(name: queue)
        guard prefetch > 0 else { throw BrokerError(.invalidArgument, "a prefetch of \(prefetch) is less than 1") }
        return try await perform("consuming queue '\(queue)'") { () async throws -> RabbitMQConsumer in
            let patience = ContinuousClock.now + .seconds(5)
            while true {
                let channel = try await deliveries.open()
                do throws(AMQPError) {
                    try await channel.channel.setPrefetch(UInt16(clamping: prefetch))
                    let consumer = try await channel.channel.consume(queue)
                    return RabbitMQConsumer(queue: queue, consumer: consumer, channel: channel, broker: self)
                } catch {
                    await retire(channel)
                    await deliveries.remove(channel)
                    guard error.isNotYetUp, ContinuousClock.now < patience else { throw error }
                    try await Task.sleep(for: .milliseconds(200))
                }
            }
        }
    }

    /// Takes one message if there is one.
    public func get(_ queue: String) async throws -> Delivery? {
        try QueueArguments.check(name: queue)
        return try await perform("getting from queue '\(queue)'") { () async throws -> Delivery? in
            let patience = ContinuousClock.now + .seconds(5)
            var mayHaveBeenClosed = true
            while true {
                let channel = try await deliveries.channel(getting: queue)
                do throws(AMQPError) {
                    guard let delivery = try await channel.channel.get(queue) else { return nil }
                    await channel.hold([delivery])
                    return headers.delivery(delivery, from: queue)
                } catch {
                    if error.code != .cancelled { await deliveries.remove(channel, getting: queue) }
                    if error.isConnectionGone { await consuming.forget(channel.channel.connection) }
                    if mayHaveBeenClosed, error.code == .channelClosed, error.replyCode != 404 {
                        // Before this call, say for an acknowledgement that came too late; a new one will tell.
                        mayHaveBeenClosed = false
                        continue
                    }
                    guard error.isNotYetUp, ContinuousClock.now < patience else { throw error }
                    try await Task.sleep(for: .milliseconds(200))
                }
            }
        }
    }

    /// Ends deliveries, each on the channel it came on; those of lost channels are left out.
    public func settle(_ deliveries: [Delivery.Token], as settlement: Settlement) async throws {
        var tags: [UInt64: [UInt64]] = [:]
        for delivery in deliveries { tags[delivery.channel, default: []].append(delivery.tag) }
        for (number, tags) in tags {
            guard let channel = await self.deliveries.channel(number) else { continue }
            try await perform("settling deliveries") {
                if try await channel.settle(tags, as: settlement) { await self.deliveries.remove(channel) }
            }
        }
    }

    /// Closes a channel on which nothing arrives any more, when the last of its deliveries is settled.
    func retire(_ channel: DeliveryChannel) async {
        if await channel.retire() { await deliveries.remove(channel) }
    }

    /// Cleans up behind a consumer that the broker or the connection ended.
    func consumerEnded(on channel: DeliveryChannel, with error: AMQPError) async {
        switch error.code {
        case .cancelled: return
        // The channel is still good for what was handed out.
        case .consumerCancelled: await retire(channel)
        default:
            if error.isConnectionGone { await consuming.forget(channel.channel.connection) }
            await deliveries.remove(channel)
        }
    }
}
