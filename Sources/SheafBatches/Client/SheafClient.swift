public import Logging
public import SheafBroker
public import SheafCore
import SheafEmbedded
import SheafRabbitMQ

extension BrokerRegistry {
    /// The brokers that come with Sheaf: RabbitMQ (`amqp`, `amqps`) and the embedded broker (`embedded`).
    public static let standard = BrokerRegistry([RabbitMQBroker.provider, SQLiteBroker.provider])
}

/// A connection to Sheaf on one broker: creates batches, follows them, reads their results, and is what workers run on.
///
/// It may be used from many tasks. Close it when done, or use ``withClient(broker:namespace:logger:_:)``.
public final class SheafClient: Sendable {
    /// The broker.
    public let broker: any Broker
    /// The names in use.
    public let names: WireNames
    package let logger: Logger

    /// Makes a client of a broker that is open already; declares what all batches share.
    public init(broker: any Broker, namespace: Name? = nil, logger: Logger = Logger(label: "sheaf")) async throws {
        self.broker = broker
        self.names = WireNames(namespace: namespace)
        self.logger = logger
        try await declareShared()
    }

    /// Connects to a broker; throws `BrokerError` where it can not be reached or refuses.
    public static func connect(
        to reference: BrokerReference,
        namespace: Name? = nil,
        brokers: BrokerRegistry = .standard,
        logger: Logger = Logger(label: "sheaf")
    ) async throws -> SheafClient {
        let broker = try await brokers.open(reference, namespace: WireNames(namespace: namespace).namespace.text)
        do {
            return try await SheafClient(broker: broker, namespace: namespace, logger: logger)
        } catch {
            await broker.close()
            throw error
        }
    }

    /// Connects, runs the body and closes, whatever happens.
    public static func withClient<Result: Sendable>(
        broker reference: BrokerReference,
        namespace: Name? = nil,
        brokers: BrokerRegistry = .standard,
        logger: Logger = Logger(label: "sheaf"),
        _ body: (SheafClient) async throws -> Result
    ) async throws -> Result {
        let client = try await connect(to: reference, namespace: namespace, brokers: brokers, logger: logger)
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    /// Lets go of the broker.
    public func close() async {
        await broker.close()
    }

    /// Logs that only matter for seconds are bounded; see the design for what their sizes must be.
    private func declareShared() async throws {
        try await broker.declareLog(LogDeclaration(name: names.journal))
        try await broker.declareLog(LogDeclaration(name: names.dead))
        try await broker.declareLog(LogDeclaration(name: names.progress, maximumBytes: 64 << 20))
        try await broker.declareLog(LogDeclaration(name: names.heartbeats, maximumBytes: 16 << 20))
        try await broker.declareLog(LogDeclaration(name: names.limits, maximumBytes: 16 << 20))
    }
}
