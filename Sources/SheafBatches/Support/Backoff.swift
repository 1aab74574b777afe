package import SheafBroker

/// Waits that grow from one try to the next, with jitter so that many do not come back at once.
package struct Backoff {
    private var delay: Duration
    private let first: Duration
    private let ceiling: Duration

    package init(first: Duration = .milliseconds(100), ceiling: Duration = .seconds(5)) {
        self.first = first
        self.ceiling = ceiling
        self.delay = first
    }

    /// Waits; throws `CancellationError` where the task is cancelled.
    package mutating func pause() async throws {
        try await Task.sleep(for: delay * Double.random(in: 0.5...1))
        delay = min(delay * 2, ceiling)
    }

    package mutating func reset() { delay = first }
}

/// Repeats an operation while it fails in a way that passes by itself, or in one of these ways; anything else is thrown.
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

/// Repeats an operation that fails because the broker does not find something, for some seconds after it began to fail so.
///
/// A broker that has just been started says so of queues and logs that are there.
package func persisting(
    for patience: Duration = .seconds(10),
    unless isHopeless: () -> Bool = { false },
    _ operation: () async throws -> Void
) async throws {
    var since: ContinuousClock.Instant?
    while true {
        let start = ContinuousClock.now
        do {
            return try await operation()
        } catch let error as BrokerError {
            if .now - start > patience { since = nil }
            let first = since ?? .now
            since = first
            guard error.code == .notFound, .now - first < patience, !isHopeless() else { throw error }
            try await Task.sleep(for: .milliseconds(500))
        }
    }
}
