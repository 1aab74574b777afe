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
    /// Whether the broker has said that nothing more comes: before that the channel must stay open, however little it holds.
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
            let rest = try await consumer.cancel()
            await channel.hold(rest)
            hasEnded = true
            // A call of next() that is just being woken may still have deliveries to note; then it retires the channel.
            if !isReceiving { await broker.retire(channel) }
            return rest.map { broker.headers.delivery($0, from: queue) }
        } catch {
            await broker.consumerEnded(on: channel, with: error)
            // It has ended already, and the broker has taken back what had arrived.
            if error.isConnectionGone || error.code == .channelClosed || error.code == .consumerCancelled { return [] }
            throw BrokerError.mapped(error, "cancelling the consumer of queue '\(queue)'")
        }
    }
}
