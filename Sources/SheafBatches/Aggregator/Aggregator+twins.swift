import Logging
import SheafBroker
import SheafCore
import SheafSources

extension Aggregator {
    /// How long to wait after an error that will not pass by itself, such as one of temporary storage.
    private static let failurePause = Duration.seconds(10)

    /// Whether a batch has tasks that get the outcome of others, or may still get some.
    func mayHaveTwins(_ batch: Name) -> Bool {
        guard let info = journal[batch], info.options.deduplication != nil else { return false }
        return info.sealedTotal == nil || info.twins > 0
    }

    /// Gives the twins of a batch their outcomes, until cancelled; begins anew after an error.
    func settleTwins(of batch: Name) async throws {
        var backoff = Backoff()
        while true {
            do {
                try await TwinSettler(client: client, journal: journal, batch: batch).run()
            } catch {
                try Task.checkCancellation()
                let broker = error as? BrokerError
                if broker?.code == .notFound || broker?.code == .queueGone {
                    // What follows the results stops the batch.
                    for await _ in journal.changes() where journal.isOver(batch) { return }
                } else if broker?.isRetryable == true {
                    client.logger.warning("batch \(batch): tasks with identical records wait: \(error)")
                    try await backoff.pause()
                } else {
                    client.logger.error("batch \(batch): tasks with identical records wait: \(error)")
                    try await Task.sleep(for: Self.failurePause)
                }
            }
            try Task.checkCancellation()
        }
    }

    /// Gives the twins of a batch the outcomes that are there, and reads them.
    func finishTwins(of batch: BatchInfo) async throws {
        guard let state = fold(of: batch.id)?.state, state.openTwins > 0, state.settled.count > 0 else { return }
        do {
            try await TwinSettler(client: client, journal: journal, batch: batch.id).finish()
        } catch let error as SourceError {
            client.logger.error(
                "batch \(batch.id): tasks with identical records have not got their outcomes: \(error)"
            )
        }
        try await catchUp(batch.id)
    }

    /// Whether all tasks of a batch have ended but those that get the outcome of another.
    func waitsForTwinsOnly(_ batch: BatchInfo) -> Bool {
        guard let total = batch.sealedTotal, let state = fold(of: batch.id)?.state else { return false }
        let open = state.openTwins
        return open > 0 && state.settled.count + open == total
    }
}
