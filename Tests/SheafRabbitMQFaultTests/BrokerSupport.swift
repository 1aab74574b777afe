import AMQPClient
import SheafBroker
import SheafRabbitMQ
import SheafTestTools
import Testing

/// Connects with short time-outs, so that a test sees each of them pass.
func impatientBroker(_ url: String) async throws -> RabbitMQBroker {
    try await RabbitMQBroker.connect(try impatientConfiguration(url))
}

/// The configuration of ``impatientBroker(_:)``.
func impatientConfiguration(_ url: String) throws -> RabbitMQConfiguration {
    var configuration = try RabbitMQConfiguration(
        url: url,
        namespace: "faults-\(String(UInt64.random(in: .min ... .max), radix: 36))"
    )
    configuration.connection.heartbeat = .seconds(1)
    configuration.connection.connectTimeout = .seconds(2)
    configuration.connection.handshakeTimeout = .seconds(3)
    configuration.connection.rpcTimeout = .seconds(3)
    configuration.connection.publishTimeout = .seconds(3)
    configuration.connection.closeTimeout = .seconds(1)
    return configuration
}

extension Duration {
    /// The duration in seconds with two decimal places, for tables.
    var rounded: String {
        let hundredths = Int((self / .milliseconds(10)).rounded())
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100) s"
    }
}

/// Waits until the condition holds; throws if that takes too long.
func eventually(
    _ what: String,
    within limit: Duration = .seconds(20),
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw BrokerError(.timedOut, "not within \(limit): \(what)") }
        try await Task.sleep(for: .milliseconds(10))
    }
}

/// Returns the error that the body throws, which must be a `BrokerError`, and the time until it was thrown.
func brokerError(
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async throws -> (BrokerError, after: Duration) {
    let start = ContinuousClock.now
    do {
        try await body()
    } catch let error as BrokerError {
        return (error, .now - start)
    }
    return (try #require(nil as BrokerError?, "there was no error", sourceLocation: sourceLocation), .zero)
}
