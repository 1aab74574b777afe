import SheafBroker

/// Runs the body and throws a failure when it takes longer than the limit.
///
/// Does not wait for a body that ignores its cancellation: a broker that hangs fails the test instead of hanging it.
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

/// Asks again and again until the answer is yes, and throws a failure when the limit passes first.
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

/// Runs the body and throws a failure unless it throws a ``BrokerError`` of the code.
func expectError(
    _ code: BrokerError.Code,
    _ what: String,
    file: String = #fileID,
    line: Int = #line,
    _ body: @escaping @Sendable () async throws -> Void
) async throws {
    do {
        try await withTimeout(.seconds(10), what, file: file, line: line, body)
    } catch let error as BrokerError where error.code == code {
        return
    } catch let error as BrokerConformanceFailure {
        throw error
    } catch {
        let message = "\(what): expected error \(code), got \(error)"
        throw BrokerConformanceFailure(message, file: file, line: line)
    }
    throw BrokerConformanceFailure("\(what): expected error \(code), got none", file: file, line: line)
}
