import SheafBroker
import SheafCore

/// What one case works with: connections to the broker, and names that nobody else uses.
actor BrokerConformanceScene {
    /// Begins every name of this case.
    nonisolated let prefix: String
    private let makeBroker: @Sendable () async throws -> any Broker
    private var brokers: [any Broker] = []
    private var queues: [String] = []
    private var logs: [String] = []

    init(makeBroker: @escaping @Sendable () async throws -> any Broker) {
        self.makeBroker = makeBroker
        self.prefix = "conformance-" + String(UInt64.random(in: .min ... .max), radix: 36)
    }

    /// A name for a queue, log or lock of this case.
    nonisolated func name(_ suffix: String) -> String { "\(prefix).\(suffix)" }

    /// Connects to the broker; the connection is closed when the case ends.
    func broker() async throws -> any Broker {
        let makeBroker = makeBroker
        let broker = try await withTimeout(.seconds(20), "connecting") { try await makeBroker() }
        brokers.append(broker)
        return broker
    }

    /// Declares a queue and returns its name; it is deleted when the case ends.
    func queue(
        _ suffix: String = "tasks",
        on broker: any Broker,
        limit: Int? = 3,
        deadLetter: QueueDeclaration.DeadLetterTarget? = nil,
        acceptsDelayed: Bool = false,
        lifetime: Duration? = nil
    ) async throws -> String {
        let name = name(suffix)
        queues.append(name)
        let declaration = QueueDeclaration(
            name: name,
            deliveryLimit: limit,
            deadLetter: deadLetter,
            acceptsDelayed: acceptsDelayed,
            lifetime: lifetime
        )
        try await broker.declareQueue(declaration)
        return name
    }

    /// Declares a log and returns its name; it is deleted when the case ends.
    func log(_ suffix: String = "log", on broker: any Broker, maximumBytes: Int? = nil) async throws -> String {
        let name = name(suffix)
        logs.append(name)
        try await broker.declareLog(LogDeclaration(name: name, maximumBytes: maximumBytes))
        return name
    }

    /// Closes the connections of the case and removes what it declared.
    func end() async {
        let (brokers, queues, logs, makeBroker) = (self.brokers, self.queues, self.logs, self.makeBroker)
        self.brokers = []
        // A failure here hides the case's own; what is left over does no harm, since names are never used twice.
        try? await withTimeout(.seconds(20), "cleaning up") {
            for broker in brokers { await broker.close() }
            let broker = try await makeBroker()
            for queue in queues { try await broker.deleteQueue(queue) }
            for log in logs { try await broker.deleteLog(log) }
            await broker.close()
        }
    }
}

/// Messages with the numbers as identifiers and bodies.
func numbered(_ numbers: Range<Int>) -> [Message] {
    numbers.map { Message(id: String($0), type: "test", body: Array(String($0).utf8)) }
}

/// The identifiers of deliveries, in order.
func ids(_ deliveries: [Delivery]) -> [String] { deliveries.map(\.message.id) }

/// The identifiers of a range of numbered messages.
func ids(_ numbers: Range<Int>) -> [String] { numbers.map(String.init) }
