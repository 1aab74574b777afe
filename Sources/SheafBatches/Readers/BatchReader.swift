package import SheafBroker
package import SheafCore

/// Finds out how far batches are, at the same cost whatever their size where somebody aggregates.
package struct BatchReader {
    let client: SheafClient

    package init(client: SheafClient) {
        self.client = client
    }

    /// How long a reader waits for the aggregator's next word on a batch it has said nothing of yet.
    private static let patience = Duration.milliseconds(1300)

    /// How far the wanted batches are, of those a journal knows that was read just now.
    package func summaries(in journal: Journal, where isWanted: (BatchInfo) -> Bool) async throws -> [BatchSummary] {
        let open = journal.state.batches.filter { $0.ending == nil && isWanted($0) }
        let progress = open.isEmpty ? [:] : try await progress(of: open, journal)
        var summaries: [BatchSummary] = []
        for record in journal.state.batches where isWanted(record) {
            var summary = BatchSummary(record: record, progress: progress[record.id])
            summary.isInterrupted = try await isInterrupted(record.id, journal)
            if record.options.isInteractive, record.ending == nil, record.cancelled == nil {
                summary.questions = try await QuestionLog(client: client, batch: record.id).read().state.open.count
            }
            summaries.append(summary)
        }
        return summaries
    }

    /// Whether a batch is not sealed and nobody publishes it any more.
    package func isInterrupted(_ batch: Name, _ journal: Journal) async throws -> Bool {
        func isOpen() -> Bool { journal[batch].map { $0.sealedTotal == nil && $0.ending == nil } == true }
        guard isOpen(), try await !client.broker.isLocked(client.names.creatingLock(batch: batch)) else { return false }
        // It may have been sealed between the two looks.
        try await journal.catchUp()
        return isOpen()
    }

    private func progress(of open: [BatchInfo], _ journal: Journal) async throws -> [Name: BatchProgress] {
        // Another reader holds the lock for a moment only; an aggregator keeps it.
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

    /// The aggregator's latest word, and its next one where that does not know all the batches yet.
    private func latestProgress(about wanted: Set<Name>) async throws -> [Name: BatchProgress] {
        let latest = LatestProgress()
        do {
            try await withTimeLimit(Self.patience, "") {
                try await client.broker.follow(client.names.progress, from: .last) { chunk in
                    await latest.apply(chunk)
                    return await !latest.covers(wanted)
                }
            }
        } catch let error as SheafError where error.code == .timedOut {
            // A batch the aggregator has not noticed yet has made no progress.
        }
        return await latest.batches
    }
}

/// The newest progress message seen.
package actor LatestProgress {
    private(set) var batches: [Name: BatchProgress] = [:]

    package func apply(_ chunk: LogChunk) {
        guard let newest = chunk.entries.reversed().lazy.compactMap({ ProgressMessage($0.message) }).first else {
            return
        }
        for progress in newest.batches { batches[progress.batch] = progress }
    }

    package func covers(_ wanted: Set<Name>) -> Bool { wanted.allSatisfy { batches[$0] != nil } }
}
