/// Runs the body and throws an error if it takes longer than the limit.
///
/// Does not wait for a body that ignores cancellation, so that a broker or a flow that hangs fails the test instead of
/// blocking it.
func withTimeout<Value: Sendable>(
    _ limit: Duration,
    orThrow failure: any Error,
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
        continuation.yield(.failure(failure))
    }
    defer {
        work.cancel()
        timer.cancel()
    }
    for await result in results { return try result.get() }
    throw CancellationError()
}

/// Runs the body and throws a failure of the suite if it takes longer than the limit.
func withTimeout<Value: Sendable>(
    _ limit: Duration,
    _ what: String,
    file: String = #fileID,
    line: Int = #line,
    _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let failure = BrokerConformanceFailure("\(what) took longer than \(limit)", file: file, line: line)
    return try await withTimeout(limit, orThrow: failure, body)
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
