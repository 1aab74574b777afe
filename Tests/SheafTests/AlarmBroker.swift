import SheafBroker
import SheafCore
import Synchronization

/// A broker that refuses to append to one log while it is told to, as RabbitMQ does under an alarm.
final class AlarmBroker: Broker {
    private let broker: any Broker
    private let blocked = Mutex<String?>(nil)
    private let count = Mutex(0)

    init(_ broker: any Broker) { self.broker = broker }

    /// How often something was refused.
    var refusals: Int { count.withLock { $0 } }

    /// Blocks a log, or none.
    func block(_ log: String?) { blocked.withLock { $0 = log } }

    var description: BrokerDescription { get async throws { try await broker.description } }

    func append(_ messages: [Message], to log: String) async throws {
        if blocked.withLock({ $0 == log }) {
            count.withLock { $0 += 1 }
            throw BrokerError(.blocked, "the broker is blocked: an alarm of this test")
        }
        try await broker.append(messages, to: log)
    }

    func declareQueue(_ declaration: QueueDeclaration) async throws { try await broker.declareQueue(declaration) }
    func deleteQueue(_ name: String) async throws { try await broker.deleteQueue(name) }
    func purgeQueue(_ name: String) async throws -> Int { try await broker.purgeQueue(name) }
    func queueStatus(_ name: String) async throws -> QueueStatus? { try await broker.queueStatus(name) }
    func declareLog(_ declaration: LogDeclaration) async throws { try await broker.declareLog(declaration) }
    func deleteLog(_ name: String) async throws { try await broker.deleteLog(name) }
    func endOffset(of log: String) async throws -> Int64? { try await broker.endOffset(of: log) }
    func publish(_ messages: [Message], to queue: String) async throws { try await broker.publish(messages, to: queue) }
    func publish(_ message: Message, to queue: String, after delay: Duration) async throws {
        try await broker.publish(message, to: queue, after: delay)
    }
    func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer {
        try await broker.consume(queue, prefetch: prefetch)
    }
    func get(_ queue: String) async throws -> Delivery? { try await broker.get(queue) }
    func settle(_ deliveries: [Delivery], as settlement: Settlement) async throws {
        try await broker.settle(deliveries, as: settlement)
    }
    func read(_ log: String, from position: LogPosition) async throws -> any LogReader {
        try await broker.read(log, from: position)
    }
    func acquireLock(_ name: String) async throws -> (any BrokerLock)? { try await broker.acquireLock(name) }
    func isLocked(_ name: String) async throws -> Bool { try await broker.isLocked(name) }
    func close() async { await broker.close() }
}
