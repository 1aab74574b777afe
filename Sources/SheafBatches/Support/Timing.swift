package import SheafBroker

/// Delays that double from one try to the next, with jitter so that many clients do not retry at once.
package struct Backoff {
    private var delay: Duration
    private let first: Duration
    private let ceiling: Duration

    package init(first: Duration = .milliseconds(100), ceiling: Duration = .seconds(5)) {
        self.first = first
        self.ceiling = ceiling
        self.delay = first
    }

    /// Waits; throws `CancellationError` if the task is cancelled.
    package mutating func pause() async throws {
        try await Task.sleep(for: delay * Double.random(in: 0.5...1))
        delay = min(delay * 2, ceiling)
    }

    package mutating func reset() { delay = first }
}

/// Repeats an operation while its error is retryable, or has one of the given codes; throws any other error.
///
/// After the limit the last error is thrown.
package func retrying<Result>(
    for limit: Duration? = nil,
    while codes: Set<BrokerError.Code>? = nil,
    _ operation: () async throws -> Result
) async throws -> Result {
    let deadline = limit.map { ContinuousClock.now + $0 }
    var backoff = Backoff()
    while true {
        do {
            return try await operation()
        } catch let error as BrokerError where codes?.contains(error.code) ?? error.isRetryable {
            if let deadline, ContinuousClock.now > deadline { throw error }
            try Task.checkCancellation()
            try await backoff.pause()
        }
    }
}

/// Runs an operation; throws ``SheafError/Code/timedOut`` with the message if it takes longer than the limit.
package func withTimeLimit<Result: Sendable>(
    _ limit: Duration?,
    _ message: @autoclosure () -> String,
    _ operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    guard let limit else { return try await operation() }
    let result = try await withThrowingTaskGroup(of: Result?.self) { group in
        group.addTask { try await operation() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        return try await group.next() ?? nil
    }
    guard let result else { throw SheafError(.timedOut, message()) }
    return result
}

/// Runs an operation to its end, even if the calling task is cancelled.
///
/// For operations that must not be left half done, such as settling a delivery.
package func withoutCancellation<Result: Sendable>(
    _ operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await Task { try await operation() }.value
}

/// Runs an operation, even if the calling task is cancelled; returns nil if it took longer than the limit and was
/// cancelled.
package func within<Result: Sendable>(
    _ limit: Duration,
    _ operation: @escaping @Sendable () async throws -> Result
) async throws -> Result? {
    let work = Task { try await operation() }
    let timer = Task {
        try await Task.sleep(for: limit)
        work.cancel()
    }
    defer { timer.cancel() }
    do {
        return try await work.value
    } catch is CancellationError {
        return nil
    }
}

/// Runs an operation; if the calling task is cancelled, the operation is cancelled too after the given time.
package func finishing<Result: Sendable>(
    within limit: Duration,
    _ operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    let work = Task { try await operation() }
    return try await withTaskCancellationHandler {
        try await work.value
    } onCancel: {
        Task {
            try await Task.sleep(for: limit)
            work.cancel()
        }
    }
}
