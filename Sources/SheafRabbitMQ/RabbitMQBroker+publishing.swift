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
        try await perform(action()) {
            try await publisher.publish(messages.map { $0.amqp(routingKey: queue) })
        }
    }

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
