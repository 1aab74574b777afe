import SheafBroker

/// Runs the body and throws if it takes longer than the limit.
public func within<Value: Sendable>(
    _ limit: Duration,
    _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw BrokerError(.timedOut, "not within \(limit)")
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() else { throw CancellationError() }
        return value
    }
}

/// Runs the body and throws a failure if it takes longer than the limit.
///
/// Does not wait for a body that ignores cancellation, so that a broker that hangs fails the test instead of blocking
/// it.
func withTimeout<Value: Sendable>(
    _ limit: Duration,
    _ what: String,
    file: String = #fileID,
    line: Int = #line,
    _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let (results, continuation) = AsyncStream<Result<Value, any Error>>.makeStream(
        bufferingPolicy: .bufferingOldest(1)
    )
    let work = Task {
        do { continuation.yield(.success(try await body())) } catch { continuation.yield(.failure(error)) }
    }
    let timer = Task {
        try await Task.sleep(for: limit)
        let failure = BrokerConformanceFailure("\(what) took longer than \(limit)", file: file, line: line)
        continuation.yield(.failure(failure))
    }
    defer {
        work.cancel()
        timer.cancel()
    }
    for await result in results { return try result.get() }
    throw CancellationError()
}

/// Waits until the condition holds, and throws a failure if the limit passes first.
func eventually(
    _ what: String,
    within limit: Duration = .seconds(10),
    file: String = #fileID,
    line: Int = #line,
    _ condition: @Sendable () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + limit
    while try await !condition() {
        guard clock.now < deadline else {
            throw BrokerConformanceFailure("not within \(limit): \(what)", file: file, line: line)
        }
        try await clock.sleep(for: .milliseconds(10))
    }
}
