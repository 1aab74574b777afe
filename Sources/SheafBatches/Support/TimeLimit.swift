/// Runs an operation; throws ``SheafError/Code/timedOut`` with the message where it takes longer than the limit.
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

/// Runs an operation to its end even when the calling task is cancelled meanwhile.
///
/// For what must not be left half done, such as telling the broker how a delivery ended.
package func withoutCancellation<Result: Sendable>(
    _ operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await Task { try await operation() }.value
}

/// Runs an operation for so long at most, whatever becomes of the calling task; nil where it took longer and was cancelled.
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

/// Runs an operation that, when the calling task is cancelled, may go on for so long before it is cancelled too.
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
