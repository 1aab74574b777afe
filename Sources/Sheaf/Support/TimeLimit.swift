/// Runs an operation; throws ``SheafError/Code/timedOut`` with the message where it takes longer than the limit.
func withTimeLimit<Result: Sendable>(
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

/// Runs an operation to its end even when the calling task is cancelled meanwhile.
///
/// For what must not be left half done, such as telling the broker how a delivery ended.
func withoutCancellation<Result: Sendable>(
    _ operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await Task { try await operation() }.value
}
