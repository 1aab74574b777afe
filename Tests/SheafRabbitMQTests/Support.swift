import AMQPClient
import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTestTools
import Testing

/// Connects to a node, with a unique namespace.
func connect(
    _ node: RabbitMQNode,
    namespace: String = uniqueName("test"),
    confirmWithin limit: Duration = .seconds(30)
) async throws -> RabbitMQBroker {
    var configuration = try RabbitMQConfiguration(url: node.url, namespace: namespace)
    configuration.connection.publishTimeout = limit
    return try await RabbitMQBroker.connect(configuration)
}

/// Returns a unique name.
func uniqueName(_ prefix: String) -> String {
    "\(prefix)-\(String(UInt64.random(in: .min ... .max), radix: 36))"
}

/// Repeats a call after retryable errors, as every user of a broker must.
func retrying<Value: Sendable>(
    within limit: Duration = .seconds(20),
    _ body: @Sendable () async throws -> Value
) async throws -> Value {
    let deadline = ContinuousClock.now + limit
    while true {
        do {
            return try await body()
        } catch let error as BrokerError where error.isRetryable && ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

/// Returns the error that the body throws, which must be a `BrokerError`.
func brokerError(
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async throws -> BrokerError {
    do {
        try await body()
    } catch let error as BrokerError {
        return error
    }
    return try #require(nil as BrokerError?, "there was no error", sourceLocation: sourceLocation)
}

/// Returns the next delivery of a consumer, within a limit.
func receive(_ consumer: any QueueConsumer) async throws -> Delivery {
    try #require(try await within(.seconds(20)) { try await consumer.next() }?.first)
}

/// Reads this number of entries from a position.
func entries(
    _ count: Int,
    of log: String,
    from position: LogPosition,
    on broker: any Broker
) async throws -> [LogEntry] {
    let reader = try await broker.read(log, from: position)
    let entries = try await within(.seconds(20)) {
        var entries: [LogEntry] = []
        while entries.count < count, let chunk = try await reader.next() { entries += chunk.entries }
        return entries
    }
    await reader.cancel()
    return entries
}
