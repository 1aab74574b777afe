import Logging
import SheafBroker
import SheafCore

extension Aggregator {
    /// Looks for tasks that are nowhere: a batch that should go on, of which nothing is heard, queued, held or delayed.
    func watchForMissing() async throws {
        while true {
            try await Task.sleep(for: timing.missingGrace / 2)
            for record in journal.state.batches {
                let count = try await missingTasks(of: record)
                if count == missing[record.id] ?? 0 { continue }
                missing[record.id] = count
                if count > 0 {
                    client.logger.error(
                        "batch \(record.id): the broker has lost \(count) of its tasks; 'sheaf retry \(record.id) --missing' publishes them again"
                    )
                }
                changed.notify()
            }
        }
    }

    private func missingTasks(of record: BatchInfo) async throws -> Int {
        guard isQuiet(record), let fold = folds[record.id], let total = record.sealedTotal else { return 0 }
        let before = fold.nextOffset
        for generation in record.generations {
            let queue = client.names.tasks(flow: record.flow, batch: record.id, generation: generation)
            if let status = try await client.broker.queueStatus(queue), status.ready > 0 { return 0 }
        }
        if let suspects = try await client.broker.queueStatus(client.names.suspects(flow: record.flow)),
            suspects.ready > 0
        {
            return 0
        }
        guard isQuiet(record), folds[record.id]?.nextOffset == before else { return 0 }
        return total - fold.state.settled.count
    }

    /// Whether a batch should be running and nothing is heard of it.
    private func isQuiet(_ record: BatchInfo) -> Bool {
        guard record.isRunnable, let total = record.sealedTotal, let fold = folds[record.id] else { return false }
        return fold.state.settled.count < total && fold.state.hasReopened(record.reopenings)
            && fold.state.leases.isEmpty
            && !fold.isDelayed() && !signals.isHeld(record.id) && .now - fold.lastChange >= timing.missingGrace
    }
}
