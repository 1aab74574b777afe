extension ThrowingTaskGroup where ChildTaskResult == Void, Failure == any Error {
    /// Waits until all tasks have ended or one has failed, whose error it throws.
    ///
    /// `waitForAll` throws an error only after all other tasks have ended, which a task that runs until it is cancelled
    /// never does.
    package mutating func waitForAllOrFailure() async throws {
        while try await next() != nil {}
    }
}

/// Runs the body at first and after each change; the body may start tasks, which run until they end or the caller is
/// cancelled.
///
/// - Returns: When the changes and all tasks have ended.
/// - Throws: The first error of the body or of a task, at once; it cancels the other tasks.
package func following(
    _ changes: AsyncStream<Void>,
    _ body: (_ start: (@escaping @Sendable () async throws -> Void) -> Void) async throws -> Void
) async throws {
    let (wakes, wake) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    try await withThrowingTaskGroup(of: Void.self) { group in
        defer { group.cancelAll() }
        group.addTask {
            for await _ in changes { wake.yield() }
            wake.finish()
        }
        for await _ in wakes {
            try Task.checkCancellation()
            try await body { operation in
                group.addTask {
                    do {
                        try await operation()
                    } catch {
                        // The loop waits for changes, not for tasks.
                        wake.finish()
                        throw error
                    }
                }
            }
        }
        try await group.waitForAllOrFailure()
    }
}
