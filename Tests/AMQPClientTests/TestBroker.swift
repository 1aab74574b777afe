import AMQPClient
import Foundation
import Testing

/// The broker that the tests use, with helpers for connections and queues.
enum TestBroker {
    struct Missing: Error, CustomStringConvertible {
        let description: String
    }

    static func configuration() throws -> AMQPConfiguration {
        guard let url = ProcessInfo.processInfo.environment["SHEAF_TEST_AMQP_URL"] else {
            throw Missing(description: "SHEAF_TEST_AMQP_URL must name a RabbitMQ broker for this test")
        }
        var configuration = try AMQPConfiguration(url: url, connectionName: "AMQPClientTests")
        configuration.publishTimeout = .seconds(20)
        return configuration
    }

    static func uniqueName(_ prefix: String) -> String { "test.\(prefix).\(UUID().uuidString)" }

    /// Runs a test on its own connection, with a time limit.
    static func withConnection(
        _ change: (inout AMQPConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (AMQPConnection) async throws -> Void
    ) async throws {
        var configuration = try Self.configuration()
        change(&configuration)
        let connection = try await AMQPConnection.connect(configuration)
        do {
            try await within(.seconds(30)) { try await body(connection) }
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    /// Runs a test on a channel with confirms and its own queue, which is deleted afterwards.
    static func withQueue(
        prefetch: UInt16 = 100,
        arguments: AMQPTable = AMQPTable(),
        _ change: (inout AMQPConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (AMQPChannel, String) async throws -> Void
    ) async throws {
        try await Self.withConnection(change) { connection in
            let channel = try await connection.openChannel()
            let queue = Self.uniqueName("queue")
            try await channel.declareQueue(queue, arguments: arguments)
            try await channel.enableConfirms()
            try await channel.setPrefetch(prefetch)
            do {
                try await body(channel, queue)
            } catch {
                try await connection.openChannel().deleteQueue(queue)
                throw error
            }
            try await connection.openChannel().deleteQueue(queue)
        }
    }
}

/// The error of a wait that exceeded its time limit.
struct TooSlow: Error {}

/// Runs a closure, and cancels it after a time limit.
func within<Value: Sendable>(
    _ limit: Duration,
    _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() ?? nil else { throw TooSlow() }
        return value
    }
}

/// Returns the error that a closure throws.
func errorOf(_ body: () async throws -> Void) async -> AMQPError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? AMQPError
    }
}

extension AMQPConsumer {
    /// Waits for a number of deliveries.
    func collect(_ count: Int) async throws -> [AMQPDelivery] {
        var deliveries: [AMQPDelivery] = []
        while deliveries.count < count {
            guard let batch = try await next() else { break }
            deliveries += batch
        }
        return deliveries
    }
}

/// The tests that need a broker; they run one at a time, since some measure time.
@Suite("A connection to a broker", .serialized)
struct BrokerTests {}
