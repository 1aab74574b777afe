import AMQPClient
package import SheafBroker

extension RabbitMQBroker: TopicBroker {
    /// How many messages are unconfirmed at most; more would only fill the buffers of the broker.
    private static let window = 500
    /// How many bytes wait for a subscriber at most.
    private static let subscriptionBytes: Int64 = 64 << 20

    /// Declares a durable topic exchange.
    package func declareTopic(_ name: String) async throws {
        try QueueArguments.check(name: name)
        try await perform("declaring exchange '\(name)'") {
            try await control.withChannel { try await $0.declareExchange(name, type: "topic") }
        }
    }

    /// Publishes a mandatory message, which the broker returns if no queue is bound to its key.
    package func probe(_ message: TopicMessage, to topic: String) async throws -> TopicDelivery {
        guard fits(message) else { return .refused }
        return try await perform("publishing to exchange '\(topic)'") {
            do {
                try await fanOut.publish([message.amqp(to: topic)], mandatory: true)
                return .delivered
            } catch let error as AMQPError where error.code == .returned {
                return .unbound
            } catch let error as AMQPError where error.code == .nacked {
                return .refused
            }
        }
    }

    /// Publishes messages in order and returns the indices of those that the broker did not confirm.
    package func publish(_ messages: [TopicMessage], toTopic topic: String) async throws -> [Int] {
        try await perform("publishing to exchange '\(topic)'") {
            var refused = messages.indices.filter { !fits(messages[$0]) }
            let fitting = refused.isEmpty ? Array(messages.indices) : messages.indices.filter { fits(messages[$0]) }
            for start in stride(from: 0, to: fitting.count, by: Self.window) {
                let part = fitting[start..<min(start + Self.window, fitting.count)]
                do {
                    try await fanOut.publish(part.map { messages[$0].amqp(to: topic) }, mandatory: false)
                } catch let error as AMQPError where error.code == .nacked {
                    refused += error.failedMessages.map { part[start + $0] }
                }
            }
            return refused
        }
    }

    private func fits(_ message: TopicMessage) -> Bool {
        message.message.body.count <= configuration.maximumMessageBytes
    }

    /// Consumes from an exclusive queue that the broker deletes with the consumer.
    package func subscribe(to topic: String, keys: [String], limit: Int) async throws -> any QueueConsumer {
        let queue = "\(topic).tap.\(String(UInt64.random(in: .min ... .max), radix: 36))"
        try QueueArguments.check(name: queue)
        return try await perform("subscribing to exchange '\(topic)'") { () async throws -> RabbitMQConsumer in
            let channel = try await deliveries.open()
            do throws(AMQPError) {
                try await channel.channel.declareExchange(topic, type: "topic")
                try await channel.channel.declareQueue(
                    queue,
                    durable: false,
                    exclusive: true,
                    autoDelete: true,
                    arguments: [
                        "x-queue-type": "classic", "x-max-length": .int64(Int64(limit)),
                        "x-max-length-bytes": .int64(Self.subscriptionBytes), "x-overflow": "drop-head",
                    ]
                )
                for key in keys { try await channel.channel.bindQueue(queue, to: topic, routingKey: key) }
                try await channel.channel.setPrefetch(UInt16(clamping: Self.window))
                let consumer = try await channel.channel.consume(queue)
                return RabbitMQConsumer(queue: queue, consumer: consumer, channel: channel, broker: self)
            } catch {
                await retire(channel)
                await deliveries.remove(channel)
                throw error
            }
        }
    }
}

extension TopicMessage {
    fileprivate func amqp(to topic: String) -> AMQPMessage { message.amqp(exchange: topic, routingKey: key) }
}
