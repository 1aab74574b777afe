package import SheafBroker
package import SheafCore

/// A broker around another one, with which a test injects faults; calls it does not implement go to the inner broker.
package protocol BrokerWrapper: Broker {
    /// The broker that does the work.
    var inner: any Broker { get }
    /// Performs a call of the inner broker, or throws instead.
    func passing<Result>(_ call: () async throws -> Result) async throws -> Result
}

extension BrokerWrapper {
    package func passing<Result>(_ call: () async throws -> Result) async throws -> Result { try await call() }

    package var description: BrokerDescription { get async throws { try await inner.description } }
    package var blockedReason: String? { get async { await inner.blockedReason } }

    package func declareQueue(_ declaration: QueueDeclaration) async throws {
        try await passing { try await inner.declareQueue(declaration) }
    }
    package func deleteQueue(_ name: String) async throws { try await passing { try await inner.deleteQueue(name) } }
    package func purgeQueue(_ name: String) async throws -> Int {
        try await passing { try await inner.purgeQueue(name) }
    }
    package func queueStatus(_ name: String) async throws -> QueueStatus? {
        try await passing { try await inner.queueStatus(name) }
    }

    package func declareLog(_ declaration: LogDeclaration) async throws {
        try await passing { try await inner.declareLog(declaration) }
    }
    package func deleteLog(_ name: String) async throws { try await passing { try await inner.deleteLog(name) } }
    package func endOffset(of log: String) async throws -> Int64? {
        try await passing { try await inner.endOffset(of: log) }
    }

    package func publish(_ messages: [Message], to queue: String) async throws {
        try await passing { try await inner.publish(messages, to: queue) }
    }
    package func publish(_ message: Message, to queue: String, after delay: Duration) async throws {
        try await passing { try await inner.publish(message, to: queue, after: delay) }
    }
    package func append(_ messages: [Message], to log: String) async throws {
        try await passing { try await inner.append(messages, to: log) }
    }

    package func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer {
        try await passing { try await inner.consume(queue, prefetch: prefetch) }
    }
    package func get(_ queue: String) async throws -> Delivery? { try await passing { try await inner.get(queue) } }
    package func settle(_ deliveries: [Delivery.Token], as settlement: Settlement) async throws {
        try await passing { try await inner.settle(deliveries, as: settlement) }
    }
    package func read(_ log: String, from position: LogPosition) async throws -> any LogReader {
        try await passing { try await inner.read(log, from: position) }
    }

    package func acquireLock(_ name: String) async throws -> (any BrokerLock)? {
        try await passing { try await inner.acquireLock(name) }
    }
    package func isLocked(_ name: String) async throws -> Bool { try await passing { try await inner.isLocked(name) } }
    package func close() async { await inner.close() }
}
