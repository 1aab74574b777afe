import AMQPClient
import SheafBroker
import SheafCore

/// The exchanges and queues through which a message waits before it comes to its queue.
///
/// Each step is a fanout exchange and a queue whose messages all live equally long, so that none waits behind another.
/// They expire into the direct exchange `<namespace>.delayed`, to which the queues that accept delayed messages are bound
/// by their names. The routing key is the name of the queue all the way. Messages whose queue is deleted meanwhile would
/// hold up all others of their step for ever; the exchange's alternate catches them, in the log
/// `<namespace>.undeliverable`, which is bounded, so that nobody needs to empty it.
actor DelayLadder {
    private nonisolated let slot: ConnectionSlot
    private nonisolated let namespace: String
    private var landing: Task<Void, any Error>?
    private var steps: [DelayStep: Task<Void, any Error>] = [:]

    init(_ slot: ConnectionSlot, namespace: String) {
        self.slot = slot
        self.namespace = namespace
    }

    /// Begins the names of the steps' queues.
    nonisolated var prefix: String { "\(namespace).delay." }

    private nonisolated var delayed: String { "\(namespace).delayed" }
    private nonisolated var undeliverable: String { "\(namespace).undeliverable" }

    /// The message as it goes to a step's exchange.
    nonisolated func message(_ message: Message, to queue: String, by step: DelayStep) -> AMQPMessage {
        var message = message
        message.headers.removeAll { !BrokerHeaders.isSenders($0.name) }
        message.headers.append(Message.Header(BrokerHeaders.delayedTo, .string(queue)))
        return message.amqp(exchange: prefix + step.name, routingKey: queue)
    }

    /// Makes a queue one that delayed messages come to.
    func land(in queue: String) async throws {
        try await prepareLanding()
        let exchange = delayed
        do {
            try await slot.withChannel { try await $0.bindQueue(queue, to: exchange, routingKey: queue) }
        } catch let error as AMQPError where error.isReply(404) {
            // Somebody removed the exchange since this process made it.
            landing = nil
            try await prepareLanding()
            try await slot.withChannel { try await $0.bindQueue(queue, to: exchange, routingKey: queue) }
        }
    }

    /// Makes a step where there is none; asks the broker once only.
    func prepare(_ step: DelayStep) async throws {
        if let task = steps[step] { return try await task.value }
        let task = Task { try await make(step) }
        steps[step] = task
        do {
            try await task.value
        } catch {
            steps[step] = nil
            throw error
        }
    }

    /// Makes the ladder anew when it is next needed.
    func forget() {
        landing = nil
        steps = [:]
    }

    private func make(_ step: DelayStep) async throws {
        try await prepareLanding()
        let (name, delayed) = (prefix + step.name, delayed)
        try await slot.withChannel { channel in
            try await channel.declareExchange(name, type: "fanout")
            try await channel.declareQueue(
                name,
                arguments: QueueArguments.table(delay: step.milliseconds, target: delayed)
            )
            try await channel.bindQueue(name, to: name, routingKey: "")
        }
    }

    private func prepareLanding() async throws {
        if let landing { return try await landing.value }
        let (delayed, undeliverable) = (delayed, undeliverable)
        let slot = slot
        let task = Task {
            try await slot.withChannel { channel in
                try await channel.declareExchange(undeliverable, type: "fanout")
                try await channel.declareQueue(
                    undeliverable,
                    arguments: QueueArguments.table(for: LogDeclaration(name: undeliverable, maximumBytes: 1))
                )
                try await channel.bindQueue(undeliverable, to: undeliverable, routingKey: "")
                try await channel.declareExchange(
                    delayed,
                    type: "direct",
                    arguments: ["alternate-exchange": .string(undeliverable)]
                )
            }
        }
        landing = task
        do {
            try await task.value
        } catch {
            landing = nil
            throw error
        }
    }
}
