import SheafBroker

/// Repeats an operation that fails because the broker does not find something, for some seconds after it began to fail so.
///
/// A broker that has just been started says so of queues and logs that are there.
func persisting(
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
