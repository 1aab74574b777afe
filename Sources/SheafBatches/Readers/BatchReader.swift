import SheafBroker
package import SheafCore
import Synchronization

/// Reports batch progress; constant-time while an aggregator is running.
package struct BatchReader {
    let client: SheafClient

    package init(client: SheafClient) {
        self.client = client
    }

    /// How long to wait for the aggregator's next report if it has not reported a batch yet.
    private static let patience = Duration.milliseconds(1300)

    /// The summaries of the wanted batches of a journal that was just read.
    package func summaries(in journal: Journal, where isWanted: (BatchInfo) -> Bool) async throws -> [BatchSummary] {
        let open = journal.state.batches.filter { $0.ending == nil && isWanted($0) }
        let progress = open.isEmpty ? [:] : try await progress(of: open, journal)
        var summaries: [BatchSummary] = []
        for batch in journal.state.batches where isWanted(batch) {
            var summary = BatchSummary(info: batch, progress: progress[batch.id])
            summary.isInterrupted = try await isInterrupted(batch.id, journal)
            summaries.append(summary)
        }
        return summaries
    }

    /// Whether a batch is not published in full and has no creator.
    package func isInterrupted(_ batch: Name, _ journal: Journal) async throws -> Bool {
        func isOpen() -> Bool { journal[batch].map { $0.sealedTotal == nil && $0.ending == nil } == true }
        guard isOpen(), try await !client.broker.isLocked(client.names.creatingLock(batch: batch)) else { return false }
        // It may have been sealed between the two checks.
        try await journal.catchUp()
        return isOpen()
    }

    private func progress(of open: [BatchInfo], _ journal: Journal) async throws -> [Name: BatchProgress] {
        // Another reader holds the lock briefly; an aggregator keeps it.
        for attempt in 0..<4 {
            if let lock = try await client.broker.acquireLock(client.names.aggregatorLock) {
                do {
                    let progress = try await Aggregator(client: client, journal: journal).foldOnce(open)
                    await lock.release()
                    return progress
                } catch {
                    await lock.release()
                    throw error
                }
            }
            if attempt < 3 { try await Task.sleep(for: .milliseconds(40)) }
        }
        let progress = try await latestProgress(about: Set(open.map(\.id)))
        try await journal.catchUp()
        return progress
    }

    /// The latest report of the aggregator, and the next one if that does not cover all wanted batches.
    private func latestProgress(about wanted: Set<Name>) async throws -> [Name: BatchProgress] {
        let latest = Mutex(LatestProgress())
        do {
            try await withTimeLimit(Self.patience, "") {
                try await client.broker.follow(client.names.progress, from: .last) { chunk in
                    latest.withLock { $0.apply(chunk) }
                    return !latest.withLock { $0.covers(wanted) }
                }
            }
        } catch let error as SheafError where error.code == .timedOut {
            // A batch that the aggregator has not noticed yet has made no progress.
        }
        return latest.withLock { $0.batches }
    }
}

/// Tracks which batches have had no creator for so long that none is coming back.
///
/// A creator that loses its connection loses its lock too, and takes it again as soon as it has reconnected.
package struct LastingInterruptions {
    private var since: [Name: ContinuousClock.Instant] = [:]

    package init() {}

    /// How long a creator may be absent; longer than its pause between two attempts to connect.
    package static let patience = Duration.seconds(10)

    /// Records whether a batch has no creator now; returns true if that has lasted.
    package mutating func note(_ batch: Name, isInterrupted: Bool, at now: ContinuousClock.Instant = .now) -> Bool {
        guard isInterrupted else {
            since[batch] = nil
            return false
        }
        let first = since[batch] ?? now
        since[batch] = first
        return now - first >= Self.patience
    }
}
