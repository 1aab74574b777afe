import AMQPClient
import SheafBroker
public import SheafCore

extension RabbitMQBroker {
    /// Puts messages into a queue and returns when all are confirmed.
    public func publish(_ messages: [Message], to queue: String) async throws {
        try await publish(messages, to: queue, as: "publishing to queue '\(queue)'")
    }

    func publish(_ messages: [Message], to queue: String, as action: @autoclosure () -> String) async throws {
        try QueueArguments.check(name: queue)
        guard !messages.isEmpty else { return }
        try check(sizesOf: messages)
        do {
            try await perform(action()) {
                try await publisher.publish(messages.map { $0.amqp(routingKey: queue) })
            }
        } catch let error as BrokerError {
            guard error.code == .notFound else { throw error }
            throw try await reason(for: error, at: queue)
        }
    }

    /// Why messages have found no queue: it is gone, or the broker stops, which forgets its queues before it closes connections.
    ///
    /// Throws where the broker does not answer any more.
    private func reason(for error: BrokerError, at queue: String) async throws -> BrokerError {
        for look in 0..<2 {
            if look > 0 { try await Task.sleep(for: Self.secondLook) }
            if try await queueStatus(queue) != nil {
                return BrokerError(.timedOut, "\(error.message); now the broker knows it", underlying: error)
            }
        }
        return error
    }

    /// How long a broker that stops may need to close its connections.
    private static let secondLook = Duration.seconds(1)

    /// Puts a message into a queue after a delay, rounded up to 125 ms times a power of two.
    ///
    /// The queue must have been declared as one that accepts delayed messages; otherwise, or when it is deleted meanwhile,
    /// the message ends in the log `<namespace>.undeliverable`.
    public func publish(_ message: Message, to queue: String, after delay: Duration) async throws {
        guard delay > .zero else { return try await publish([message], to: queue) }
        try QueueArguments.check(name: queue)
        try check(sizesOf: [message])
        let step = try DelayStep(for: delay)
        try await perform("publishing to queue '\(queue)' after \(delay)") {
            try await ladder.prepare(step)
            let message = ladder.message(message, to: queue, by: step)
            do {
                try await delayer.publish([message])
            } catch let error as AMQPError where error.code == .returned || error.isReply(404) {
                // Somebody removed the step since this process made it.
                await ladder.forget()
                try await ladder.prepare(step)
                try await delayer.publish([message])
            }
        }
    }

    private func check(sizesOf messages: [Message]) throws {
        let limit = configuration.maximumMessageBytes
        for message in messages where message.body.count > limit {
            throw BrokerError(.tooLarge, "a message of \(message.body.count) bytes is larger than \(limit)")
        }
    }
}
