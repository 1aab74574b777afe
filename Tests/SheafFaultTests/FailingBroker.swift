import Sheaf
import SheafBroker
import SheafCore
import Synchronization

/// A broker whose user dies at a chosen call: that one and all later ones throw.
final class FailingBroker: Broker {
    /// When at the call it dies.
    enum Moment: CaseIterable {
        /// Before the call does anything.
        case before
        /// When the call has done its work, and before it says so.
        case after
    }

    /// What calls throw from then on.
    struct Death: Error {}

    private let inner: any Broker
    private let left = Mutex(Int.max)
    private let moment: Moment

    /// Dies at the call after so many more.
    init(_ inner: any Broker, moment: Moment) {
        self.inner = inner
        self.moment = moment
    }

    /// Lets so many more calls do well.
    func die(after calls: Int) { left.withLock { $0 = calls } }

    private func call<Result>(_ body: () async throws -> Result) async throws -> Result {
        let before = left.withLock { left in
            defer { left = max(-1, left - 1) }
            return left
        }
        if before < 0 || (before == 0 && moment == .before) { throw Death() }
        let result = try await body()
        if before == 0 { throw Death() }
        return result
    }

    var description: BrokerDescription { get async throws { try await inner.description } }

    func declareQueue(_ declaration: QueueDeclaration) async throws {
        try await call { try await inner.declareQueue(declaration) }
    }
    func deleteQueue(_ name: String) async throws { try await call { try await inner.deleteQueue(name) } }
    func purgeQueue(_ name: String) async throws -> Int { try await call { try await inner.purgeQueue(name) } }
    func queueStatus(_ name: String) async throws -> QueueStatus? {
        try await call { try await inner.queueStatus(name) }
    }
    func declareLog(_ declaration: LogDeclaration) async throws {
        try await call { try await inner.declareLog(declaration) }
    }
    func deleteLog(_ name: String) async throws { try await call { try await inner.deleteLog(name) } }
    func endOffset(of log: String) async throws -> Int64? { try await call { try await inner.endOffset(of: log) } }
    func publish(_ messages: [Message], to queue: String) async throws {
        try await call { try await inner.publish(messages, to: queue) }
    }
    func publish(_ message: Message, to queue: String, after delay: Duration) async throws {
        try await call { try await inner.publish(message, to: queue, after: delay) }
    }
    func append(_ messages: [Message], to log: String) async throws {
        try await call { try await inner.append(messages, to: log) }
    }
    func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer {
        try await call { try await inner.consume(queue, prefetch: prefetch) }
    }
    func get(_ queue: String) async throws -> Delivery? { try await call { try await inner.get(queue) } }
    func settle(_ deliveries: [Delivery], as settlement: Settlement) async throws {
        try await call { try await inner.settle(deliveries, as: settlement) }
    }
    func read(_ log: String, from position: LogPosition) async throws -> any LogReader {
        try await call { try await inner.read(log, from: position) }
    }
    func acquireLock(_ name: String) async throws -> (any BrokerLock)? {
        try await call { try await inner.acquireLock(name) }
    }
    func isLocked(_ name: String) async throws -> Bool { try await call { try await inner.isLocked(name) } }
    func close() async { await inner.close() }
}

extension Stage {
    /// Runs the body as a process that dies at a call; returns whether it came to its end before that.
    func dying(
        after calls: Int,
        _ moment: FailingBroker.Moment,
        _ body: (SheafClient) async throws -> Void
    ) async throws -> Bool {
        try await client { client in
            let broker = FailingBroker(client.broker, moment: moment)
            let dying = try await SheafClient(broker: broker, namespace: namespace)
            broker.die(after: calls)
            do {
                try await body(dying)
                return true
            } catch is FailingBroker.Death {
                return false
            }
        }
    }
}
