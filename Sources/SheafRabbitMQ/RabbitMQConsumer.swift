import AMQPClient
import SheafBroker

/// A subscription on a channel of its own.
actor RabbitMQConsumer: QueueConsumer {
    private let queue: String
    private let consumer: AMQPConsumer
    private let channel: DeliveryChannel
    private let broker: RabbitMQBroker
    private var isReceiving = false
    private var isCancelled = false
    /// Whether the broker confirmed that nothing more comes; until then the channel stays open even if it holds
    /// nothing.
    private var hasEnded = false

    init(queue: String, consumer: AMQPConsumer, channel: DeliveryChannel, broker: RabbitMQBroker) {
        self.queue = queue
        self.consumer = consumer
        self.channel = channel
        self.broker = broker
    }

    func next() async throws -> [Delivery]? {
        isReceiving = true
        let result: Result<[AMQPDelivery]?, AMQPError>
        do { result = .success(try await consumer.next()) } catch { result = .failure(error) }
        switch result {
        case .success(let arrived?): await channel.hold(arrived)
        case .success(nil): break
        case .failure(let error): await broker.consumerEnded(on: channel, with: error)
        }
        isReceiving = false
        if hasEnded { await broker.retire(channel) }
        switch result {
        case .success(let arrived):
            return arrived.map { $0.map { broker.headers.delivery($0, from: queue) } }
        case .failure(let error):
            throw await broker.ending(error, of: queue, "consuming queue '\(queue)'")
        }
    }

    func cancel() async throws -> [Delivery] {
        guard !isCancelled else { return [] }
        isCancelled = true
        do {
            // The broker takes back what is on its way when a consumer ends, and counts it as if a worker was lost. The
            // queue's answer follows what it sent before, and the channel takes the request that follows after both.
            if !consumer.hasEnded { try await channel.channel.declareQueue(queue, passive: true) }
            let rest = try await consumer.cancel()
            await channel.hold(rest)
            hasEnded = true
            // A call of next() that is just resuming may still have deliveries to record; then it retires the channel.
            if !isReceiving { await broker.retire(channel) }
            return rest.map { broker.headers.delivery($0, from: queue) }
        } catch {
            await broker.consumerEnded(on: channel, with: error)
            // It has already ended, and the broker has requeued what had arrived.
            if error.isConnectionGone || error.code == .channelClosed || error.code == .consumerCancelled { return [] }
            throw BrokerError.mapped(error, "cancelling the consumer of queue '\(queue)'")
        }
    }
}

/// A channel of the consuming connection with its unsettled deliveries.
///
/// It stays open until the last of them is settled, because closing it would return them to the queue.
actor DeliveryChannel {
    nonisolated let channel: AMQPChannel
    private var held: Set<UInt64> = []
    /// The number of calls that are sending settlements.
    private var sending = 0
    private var isRetired = false

    init(_ channel: AMQPChannel) { self.channel = channel }

    /// Whether there is nothing to settle.
    var isIdle: Bool { held.isEmpty && sending == 0 }

    /// Records deliveries as handed out.
    func hold(_ deliveries: [AMQPDelivery]) {
        for delivery in deliveries { held.insert(delivery.deliveryTag) }
    }

    /// Settles deliveries; skips those that are already settled.
    ///
    /// - Returns: Whether the channel was closed, because it is retired and holds nothing.
    func settle(_ tags: [UInt64], as settlement: Settlement) async throws -> Bool {
        let tags = tags.filter { held.remove($0) != nil }
        guard !tags.isEmpty else { return false }
        do {
            sending += 1
            defer { sending -= 1 }
            try await send(tags, settlement)
        } catch {
            guard error.isConnectionGone || error.code == .channelClosed else { throw error }
            // The broker has requeued them.
            held = []
            return true
        }
        return await closeIfDone()
    }

    /// Closes the channel as soon as everything is settled; nothing new arrives on it.
    ///
    /// - Returns: Whether it was closed immediately.
    func retire() async -> Bool {
        isRetired = true
        return await closeIfDone()
    }

    private func send(_ tags: [UInt64], _ settlement: Settlement) async throws(AMQPError) {
        switch settlement {
        case .acknowledged: try await channel.acknowledge(tags)
        // Not nack, which no longer counts towards the delivery limit from 4.3 on.
        case .returned: try await channel.reject(tags.sorted(), requeue: true)
        case .rejected: try await channel.reject(tags.sorted(), requeue: false)
        }
    }

    private func closeIfDone() async -> Bool {
        guard isRetired, held.isEmpty, sending == 0 else { return false }
        try? await channel.close()
        return true
    }
}
