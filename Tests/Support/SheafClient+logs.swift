package import Sheaf
package import SheafBroker
package import SheafCore
package import Testing

/// Helpers with which tests of workers write to the journal and read the logs.
extension SheafClient {
    /// Appends an entry to the journal, as a command would.
    package func journal(_ event: JournalEntry.Event, _ record: BatchInfo) async throws {
        let entry = JournalEntry(batch: record.id, flow: record.flow, at: .now, event: event)
        try await broker.append(entry.message, to: names.journal)
    }

    /// The present entries of a log.
    package func entries(of log: String) async throws -> [LogEntry] {
        guard let end = try await broker.endOffset(of: log), end > 0 else { return [] }
        let reader = try await broker.read(log, from: .first)
        var entries: [LogEntry] = []
        while let chunk = try await reader.next() {
            entries += chunk.entries
            if chunk.nextOffset >= end { break }
        }
        await reader.cancel()
        return entries
    }

    /// The events in the results log of a batch, in order.
    package func events(of batch: Name) async throws -> [ResultEvent] {
        try await entries(of: names.results(batch: batch)).map { ResultEvent($0.message) }
    }

    /// How many messages wait in the queue of a batch's tasks.
    package func waiting(in record: BatchInfo, generation: Int = 0) async throws -> Int {
        let queue = names.tasks(flow: record.flow, batch: record.id, generation: generation)
        return try await broker.queueStatus(queue)?.ready ?? 0
    }
}

/// Waits until a condition holds; fails the test if that takes too long.
package func until(
    _ what: Comment,
    limit: Duration = .seconds(60),
    at place: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        try #require(ContinuousClock.now < deadline, what, sourceLocation: place)
        try await Task.sleep(for: .milliseconds(20))
    }
}
