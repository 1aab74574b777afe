import SheafCore

/// Follows one batch until it ends, is stopped, has paused after its pilot or cannot go on, and aggregates if no other process does.
struct BatchWatch: Sendable {
    let client: SheafClient
    let reference: String

    func stream() -> AsyncThrowingStream<BatchSummary, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let task = Task {
                do {
                    try await run { continuation.yield($0) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private func run(_ emit: @escaping @Sendable (BatchSummary) -> Void) async throws {
        let directory = try await BatchDirectory(client: client, isAggregating: true, only: reference)
        let batch = try directory.summary(of: reference).info.id
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await directory.run() }
            group.addTask {
                for await _ in directory.changes() {
                    let summary = try directory.summary(of: batch.text)
                    emit(summary)
                    let info = summary.info
                    if info.ending != nil || info.stopped != nil || info.awaitsResume { return }
                    try Self.refuseLost(summary)
                }
            }
            // The directory runs indefinitely and can only throw, so the first task to return has seen the end.
            try await group.next()
            group.cancelAll()
        }
        try Task.checkCancellation()
        let last = try directory.summary(of: batch.text)
        // The journal has the final counts of a batch that has ended; those of one that was stopped must be folded.
        emit(last.info.ending != nil ? last : try await client.batch(batch.text))
    }

    /// Throws if the batch cannot finish by itself.
    private static func refuseLost(_ summary: BatchSummary) throws(SheafError) {
        let batch = summary.info.id
        if summary.isInterrupted, summary.info.cancelled == nil {
            throw SheafError(
                .interrupted,
                "batch '\(batch)' cannot finish: it was not published in full, and its creator is gone",
                advice: .resumeCreation(batch)
            )
        }
        if summary.missing > 0 {
            throw SheafError(
                .interrupted,
                "batch '\(batch)' cannot finish: the broker has lost \(summary.missing) of its tasks",
                advice: .retryMissing(batch)
            )
        }
    }
}
