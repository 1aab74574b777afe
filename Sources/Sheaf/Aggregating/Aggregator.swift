import Logging
import SheafBroker
import SheafCore

/// Folds the results of all active batches into progress for everybody, applies their policies and ends them.
///
/// One at a time by a lock; two for a few seconds do no harm, because all they write can be written twice.
actor Aggregator {
    let client: SheafClient
    let journal: Journal
    var folds: [Name: BatchFold] = [:]
    var signals = SignalBoard()
    var ending: Set<Name> = []
    var cancelSeen: [Name: ContinuousClock.Instant] = [:]
    /// Whether it aggregates for others, as against having folded once for a reader when nobody else did.
    var isLeading = false
    private let changed = Changes()

    /// How often somebody who stands by tries to take over, and how often cancelled batches are looked at.
    static let interval = Duration.milliseconds(400)
    /// How long after a cancel a worker may still say for the first time that it runs a task.
    static let signalGrace = Duration.milliseconds(800)
    /// The most often that progress is written.
    private static let progressInterval = Duration.seconds(1)

    init(client: SheafClient, journal: Journal) {
        self.client = client
        self.journal = journal
    }

    /// Stands by, and aggregates whenever nobody else does, until cancelled.
    ///
    /// Needs the journal to be followed meanwhile.
    func run() async throws {
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
                try await Task.sleep(for: Self.interval)
            } catch let error as BrokerError where error.isRetryable {
                client.logger.warning("aggregating is interrupted: \(error)")
                try await backoff.pause()
            }
        }
    }

    /// Folds some batches to their present end, ends those that are done, and tells everybody; the caller holds the lock.
    func foldOnce(_ batches: [BatchRecord]) async throws -> [Name: BatchProgress] {
        try await client.broker.replay(client.names.signals, from: .since(RunningSignal.lifetime)) { chunk in
            for entry in chunk.entries { self.signals.apply(entry.message) }
        }
        for record in batches {
            do {
                try await catchUp(record.id)
                try await Self.ifTaken { try await decide(record.id) }
            } catch let error as BrokerError where error.code == .notFound {
                client.logger.warning("batch \(record.id): its results log is gone")
            }
        }
        try await journal.catchUp()
        try await Self.ifTaken { try await writeProgress() }
        return Dictionary(uniqueKeysWithValues: folds.keys.map { ($0, progress(of: $0)) })
    }

    /// Tells the broker something that a reader can go without while the broker takes nothing; somebody tells it later.
    private static func ifTaken(_ call: () async throws -> Void) async throws {
        do {
            try await call()
        } catch let error as BrokerError where error.code == .blocked {}
    }

    private func lead(_ lock: any BrokerLock) async throws {
        folds = [:]
        ending = []
        cancelSeen = [:]
        isLeading = true
        defer { isLeading = false }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.followSignals() }
            group.addTask { try await self.followDead() }
            group.addTask { try await self.reportProgress() }
            group.addTask { try await self.watchCancelled(lock) }
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
                for record in journal.batches.batches where record.ending == nil {
                    let isNew = folds[record.id] == nil
                    if isNew { folds[record.id] = BatchFold(batch: record.id) }
                    try await decide(record.id)
                    if isNew { group.addTask { try await self.followUntilEnded(record.id) } }
                }
                changed.notify()
            }
            try await group.waitForAll()
        }
    }

    private func followUntilEnded(_ batch: Name) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.followResults(batch) }
            group.addTask {
                for await _ in self.journal.changes() where self.journal[batch]?.ending != nil { return }
            }
            try await group.next()
            group.cancelAll()
        }
        try await cleanUp(batch)
        folds[batch] = nil
    }

    private func followResults(_ batch: Name) async throws {
        do {
            try await client.broker.follow(client.names.results(batch: batch), from: .first) { chunk in
                self.apply(chunk, to: batch)
                try await self.decide(batch)
                return true
            }
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            client.logger.error("batch \(batch): its results log is gone; its outcomes can not be counted any more")
            try await Task.sleep(for: .seconds(1 << 30))
        }
    }

    private func apply(_ chunk: LogChunk, to batch: Name) {
        folds[batch]?.apply(chunk)
        changed.notify()
    }

    func catchUp(_ batch: Name) async throws {
        let log = client.names.results(batch: batch)
        let start = folds[batch, default: BatchFold(batch: batch)].nextOffset
        try await client.broker.replay(log, from: .offset(start)) { chunk in
            self.folds[batch, default: BatchFold(batch: batch)].apply(chunk)
        }
        if folds[batch] == nil { folds[batch] = BatchFold(batch: batch) }
    }

    private func progress(of batch: Name) -> BatchProgress {
        let fold = folds[batch] ?? BatchFold(batch: batch)
        return BatchProgress(
            batch: batch,
            state: fold.state,
            running: signals.running(batch),
            offset: fold.nextOffset
        )
    }

    private func writeProgress() async throws {
        let batches = journal.batches.batches.filter { $0.ending == nil && folds[$0.id] != nil }
        let message = ProgressMessage(at: .now, batches: batches.map { progress(of: $0.id) })
        try await client.broker.append(message.message, to: client.names.progress)
    }

    private func reportProgress() async throws {
        for await _ in changed.stream() {
            try await writeProgress()
            try await Task.sleep(for: Self.progressInterval)
        }
    }

    private func followSignals() async throws {
        try await client.broker.follow(client.names.signals, from: .since(RunningSignal.lifetime)) { chunk in
            self.applySignals(chunk)
            return true
        }
    }

    private func applySignals(_ chunk: LogChunk) {
        for entry in chunk.entries { signals.apply(entry.message) }
        changed.notify()
    }

    /// Signals fall silent without a word, so batches that wait for that are looked at again and again.
    private func watchCancelled(_ lock: any BrokerLock) async throws {
        while true {
            try await Task.sleep(for: Self.interval)
            guard await lock.isHeld else { throw BrokerError(.connectionLost, "the aggregator's lock is lost") }
            for record in journal.batches.batches where record.ending == nil && record.cancelled != nil {
                try await decide(record.id)
            }
        }
    }
}
