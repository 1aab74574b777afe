import Logging
import SheafBroker
import SheafCore

/// Folds the results of all active batches into progress for everybody, applies their policies and ends them.
///
/// One at a time by a lock; two for a few seconds do no harm, because all they write can be written twice.
package actor Aggregator {
    let client: SheafClient
    let journal: Journal
    let timing: AggregatorTiming
    var folds: [Name: BatchFold] = [:]
    var signals = LiveWorkers()
    /// The generation whose end is being written, by batch.
    var ending: [Name: Int] = [:]
    var cancelSeen: [Name: ContinuousClock.Instant] = [:]
    /// What the aggregator before this one has said last, for batches that this one has not read yet.
    var inherited: [Name: BatchProgress] = [:]
    /// Since when the locks of workers with leases were seen free.
    var silentWorkers: [String: ContinuousClock.Instant] = [:]
    /// How many tasks each batch has lost, as far as was looked for them.
    var missing: [Name: Int] = [:]
    /// Whether it aggregates for others, as against having folded once for a reader when nobody else did.
    var isLeading = false
    let changed = Changes()

    package init(client: SheafClient, journal: Journal, timing: AggregatorTiming = AggregatorTiming()) {
        self.client = client
        self.journal = journal
        self.timing = timing
    }

    /// Stands by, and aggregates whenever nobody else does, until cancelled.
    ///
    /// Needs the journal to be followed meanwhile.
    package func run() async throws {
        var backoff = Backoff()
        while true {
            do {
                if let lock = try await client.broker.acquireLock(client.names.aggregatorLock) {
                    backoff.reset()
                    do {
                        try await lead(lock)
                    } catch {
                        await lock.release()
                        throw error
                    }
                    await lock.release()
                }
                try await Task.sleep(for: timing.interval)
            } catch let error as BrokerError where error.isRetryable {
                client.logger.warning("aggregating is interrupted: \(error)")
                try await backoff.pause()
            }
        }
    }

    private func lead(_ lock: any BrokerLock) async throws {
        folds = [:]
        ending = [:]
        cancelSeen = [:]
        silentWorkers = [:]
        missing = [:]
        try await inheritProgress()
        isLeading = true
        defer { isLeading = false }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.followHeartbeats() }
            group.addTask { try await self.followDead() }
            group.addTask { try await self.reportProgress() }
            group.addTask { try await self.watch(lock) }
            group.addTask { try await self.watchLeases() }
            group.addTask { try await self.watchForMissing() }
            group.addTask { try await self.cleanUpRecent() }
            group.addTask { try await self.followBatches() }
            try await group.waitForAll()
        }
    }

    /// Starts to follow each batch that is not finished, as the journal tells of it.
    private func followBatches() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for await _ in journal.changes() {
                try Task.checkCancellation()
                for record in journal.state.batches where record.ending == nil {
                    if folds[record.id] == nil {
                        folds[record.id] = BatchFold(batch: record.id)
                        group.addTask { try await self.followUntilGone(record.id) }
                    } else {
                        try await decide(record.id)
                    }
                }
                changed.notify()
            }
            try await group.waitForAll()
        }
    }

    /// Follows a batch until it has ended, and again where a retry has opened it meanwhile.
    private func followUntilGone(_ batch: Name) async throws {
        while true {
            folds[batch] = try await restore(batch)
            try await decide(batch)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.followResults(batch) }
                group.addTask {
                    for await _ in self.journal.changes() where self.journal.isOver(batch) { return }
                }
                try await group.next()
                group.cancelAll()
            }
            try Task.checkCancellation()  // a cancelled wait ends like one that has seen the end
            try await cleanUp(batch)
            guard journal.isOver(batch) else { continue }
            forget(batch)
            return
        }
    }

    private func forget(_ batch: Name) {
        folds[batch] = nil
        ending[batch] = nil
        cancelSeen[batch] = nil
        inherited[batch] = nil
        missing[batch] = nil
    }

    /// Signals fall silent without a word, so batches that wait for that are looked at again and again.
    private func watch(_ lock: any BrokerLock) async throws {
        while true {
            try await Task.sleep(for: timing.interval)
            guard await lock.isHeld else { throw BrokerError(.connectionLost, "the aggregator's lock is lost") }
            for record in journal.state.batches where record.ending == nil && record.cancelled != nil {
                try await decide(record.id)
            }
        }
    }
}

/// How patient an aggregator is.
package struct AggregatorTiming: Sendable {
    /// How often somebody who stands by tries to take over, and how often cancelled batches are looked at.
    var interval = Duration.milliseconds(400)
    /// How long after a cancel a worker may still say for the first time that it runs a task.
    var signalGrace = Duration.milliseconds(800)
    /// The most often that progress is written.
    var progressInterval = Duration.seconds(1)
    /// How long the lock of a worker must be free before its leased tasks go back: a lost connection comes back sooner.
    var leaseGrace = Duration.seconds(10)
    /// How long nothing must be heard of a batch before its tasks can count as missing.
    var missingGrace = Duration.seconds(10)
    /// How many bytes of a results log are read between checkpoints, at the least.
    var checkpointEvery = BatchFold.checkpointEvery
}

extension Journal {
    /// Whether nothing more happens to a batch: it has ended, or was deleted.
    func isOver(_ batch: Name) -> Bool { self[batch].map { $0.ending != nil } ?? true }
}
