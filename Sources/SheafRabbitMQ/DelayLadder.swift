import AMQPClient
import SheafBroker
import SheafCore

/// The exchanges and queues in which a delayed message waits before it reaches its queue.
///
/// Each step is a fanout exchange and a queue whose messages all have the same lifetime, so that none blocks another.
/// They expire into the direct exchange `<namespace>.delayed`, to which the queues that accept delayed messages are
/// bound by name. The routing key is the name of the target queue throughout. Messages whose queue is deleted in the
/// meantime would block all others of their step indefinitely, because a step keeps a message until a queue confirms
/// it. The alternate exchange routes them to `<namespace>.undeliverable`, a queue that confirms and drops everything.
actor DelayLadder {
    private nonisolated let slot: ConnectionSlot
    private nonisolated let namespace: String
    private var landing: Task<Void, any Error>?
    private var steps: [DelayStep: Task<Void, any Error>] = [:]

    init(_ slot: ConnectionSlot, namespace: String) {
        self.slot = slot
        self.namespace = namespace
    }

    /// The prefix of the names of the steps' queues.
    nonisolated var prefix: String { "\(namespace).delay." }

    private nonisolated var delayed: String { "\(namespace).delayed" }
    private nonisolated var undeliverable: String { "\(namespace).undeliverable" }

    /// Returns the message in the form that is published to a step's exchange.
    nonisolated func message(_ message: Message, to queue: String, by step: DelayStep) -> AMQPMessage {
        var message = message
        message.headers.removeAll { !BrokerHeaders.isSenders($0.name) }
        message.headers.append(Message.Header(BrokerHeaders.delayedTo, .string(queue)))
        return message.amqp(exchange: prefix + step.name, routingKey: queue)
    }

    /// Binds a queue so that delayed messages reach it.
    func land(in queue: String) async throws {
        try await prepareLanding()
        let exchange = delayed
        do {
            try await slot.withChannel { try await $0.bindQueue(queue, to: exchange, routingKey: queue) }
        } catch let error as AMQPError where error.isReply(404) {
            // The exchange was removed since this process declared it.
            landing = nil
            try await prepareLanding()
            try await slot.withChannel { try await $0.bindQueue(queue, to: exchange, routingKey: queue) }
        }
    }

    /// Declares a step; asks the broker only once.
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

    /// Declares the ladder again when it is next needed.
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
                    arguments: ["x-queue-type": "quorum", "x-max-length": .int64(0)]
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

/// One step of the delay ladder: 125 ms times a power of two.
struct DelayStep: Hashable {
    private static let shortest: Int64 = 125
    /// 12 days; RabbitMQ's own limit is 49.
    private static let longest = shortest << 23

    /// The time that a message waits in this step, in milliseconds.
    let milliseconds: Int64

    /// Creates the shortest step that is at least as long as the delay.
    init(for delay: Duration) throws {
        guard delay <= .milliseconds(Self.longest) else {
            throw BrokerError(
                .invalidArgument,
                "a delay of \(delay) exceeds the maximum of \(Self.longest / 1000) seconds"
            )
        }
        var step = Self.shortest
        while .milliseconds(step) < delay { step *= 2 }
        self.milliseconds = step
    }

    /// The step as it appears in names, such as `125ms` or `8s`.
    var name: String { milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms" }
}
