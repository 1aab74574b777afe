import Logging
import SheafBroker
import SheafCore

/// Folds the results of all active batches into progress, applies their error policies and ends them.
///
/// A lock elects one aggregator at a time. Two at once for a few seconds do no harm, because every entry that they
/// write may be written twice.
package actor Aggregator {
    let client: SheafClient
    let journal: Journal
    private let timing: AggregatorTiming
    /// After this time without an error, the next one is not thought to have the same cause.
    private static let steadyTime = Duration.seconds(30)
    private var folds: [Name: BatchFold] = [:]
    private var workers = LiveWorkers()
    /// The generation whose end is being written, by batch.
    private var ending: [Name: Int] = [:]
    /// The batches for which the end of the pilot is being written.
    private var piloted: Set<Name> = []
    private var cancelSeen: [Name: ContinuousClock.Instant] = [:]
    /// The last report of the previous aggregator, for batches that this one has not read yet.
    private var inherited: [Name: BatchProgress] = [:]
    /// How many tasks each batch has lost, as of the last check.
    private var missing: [Name: Int] = [:]
    /// Whether this aggregator holds the lock continuously; false if it folds once on behalf of a reader.
    private var isLeading = false
    private let changed = Changes()
    /// Connects this aggregator with its fan-out; nil if the broker has no topics.
    let feed: FanOutFeed?
    /// Copies outcomes while this aggregator leads.
    private(set) var fanOut: FanOut?
    /// Sends webhooks while this aggregator leads.
    private(set) var webhooks: WebhookSender?

    package init(client: SheafClient, journal: Journal, timing: AggregatorTiming = AggregatorTiming()) {
        self.client = client
        self.journal = journal
        self.timing = timing
        self.feed = client.broker is any TopicBroker ? FanOutFeed() : nil
    }

    /// Stands by, and aggregates whenever the lock is free, until cancelled; begins anew after an error.
    ///
    /// The journal must be followed in the meantime.
    ///
    /// - Throws: `BrokerError` if the broker refuses the lock for good.
    package func run() async throws {
        var backoff = Backoff()
        while true {
            do {
                if let lock = try await client.broker.acquireLock(client.names.aggregatorLock) {
                    let start = ContinuousClock.now
                    let error = await Self.failure(of: { try await lead(lock) })
                    if Task.isCancelled, await lock.isHeld { await finishSending() }
                    await lock.release()
                    try Task.checkCancellation()
                    if .now - start >= Self.steadyTime { backoff.reset() }
                    if let error {
                        // One that does not pass by itself may concern a single batch; the others go on.
                        let level: Logger.Level = (error as? BrokerError)?.isRetryable == true ? .warning : .error
                        client.logger.log(level: level, "aggregation is interrupted: \(error)")
                        try await backoff.pause()
                    }
                }
                try await Task.sleep(for: timing.interval)
            } catch let error as BrokerError where error.isRetryable {
                client.logger.warning("aggregation is interrupted: \(error)")
                try await backoff.pause()
            }
        }
    }

    private static func failure(of body: () async throws -> Void) async -> (any Error)? {
        do {
            try await body()
            return nil
        } catch {
            return error
        }
    }

    private func lead(_ lock: any BrokerLock) async throws {
        folds = [:]
        ending = [:]
        piloted = []
        cancelSeen = [:]
        missing = [:]
        try await inheritProgress()
        isLeading = true
        defer { isLeading = false }
        fanOut = makeFanOut(changed)
        let webhooks = WebhookSender(client: client, journal: journal, configuration: client.webhooks)
        self.webhooks = webhooks
        let lost = LostTasks(client: client, journal: journal, timing: timing, aggregator: self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.followHeartbeats() }
            group.addTask { try await self.reportProgress() }
            group.addTask { try await self.watch(lock) }
            group.addTask { try await self.cleanUpRecent() }
            group.addTask { try await self.followBatches() }
            group.addTask { try await webhooks.run() }
            if let fanOut { group.addTask { try await fanOut.run() } }
            group.addTask { try await lost.followDeadLetters() }
            group.addTask { try await lost.watchLeases() }
            group.addTask { try await lost.watchForMissing() }
            defer { group.cancelAll() }
            try await group.waitForAllOrFailure()
        }
    }

    /// Follows each active batch from the moment the journal names it.
    private func followBatches() async throws {
        try await following(journal.changes()) { start in
            for batch in journal.state.batches where batch.ending == nil {
                if folds[batch.id] == nil {
                    folds[batch.id] = BatchFold(batch: batch.id)
                    start { try await self.followUntilOver(batch.id) }
                } else {
                    try await decide(batch.id)
                }
            }
            changed.notify()
        }
    }

    /// Follows a batch until it has ended; starts over if a retry has reopened it in the meantime.
    private func followUntilOver(_ batch: Name) async throws {
        while true {
            let fold = try await restore(batch)
            folds[batch] = fold
            feed?.note(batch, from: fold.nextOffset, to: fold.nextOffset)
            try await decide(batch)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.followResults(batch) }
                if mayHaveTwins(batch) {
                    group.addTask { try await self.settleTwins(of: batch) }
                }
                group.addTask {
                    for await _ in self.journal.changes() where self.journal.isOver(batch) { return }
                }
                try await group.next()
                group.cancelAll()
            }
            try Task.checkCancellation()  // a cancelled wait returns as if the batch were over
            try await cleanUp(batch)
            guard journal.isOver(batch) else { continue }
            forget(batch)
            return
        }
    }

    private func forget(_ batch: Name) {
        folds[batch] = nil
        ending[batch] = nil
        piloted.remove(batch)
        cancelSeen[batch] = nil
        inherited[batch] = nil
        missing[batch] = nil
    }

    /// Checks cancelled batches regularly, because a worker that falls silent sends no message that would trigger it.
    private func watch(_ lock: any BrokerLock) async throws {
        while true {
            try await Task.sleep(for: timing.interval)
            guard await lock.isHeld else { throw BrokerError(.connectionLost, "the aggregator's lock is lost") }
            for batch in journal.state.batches where batch.ending == nil && batch.cancelled != nil {
                try await decide(batch.id)
            }
        }
    }

    private func followHeartbeats() async throws {
        try await client.broker.follow(client.names.heartbeats, from: .since(Heartbeat.lifetime)) { chunk in
            self.applyHeartbeats(chunk)
            self.changed.notify()
            return true
        }
    }

    private func applyHeartbeats(_ chunk: LogChunk) {
        for entry in chunk.entries { workers.apply(entry.message) }
    }
}

// MARK: - Folding results

extension Aggregator {
    /// Restores the state of a batch from the newest checkpoint that the previous aggregator reported.
    func restore(_ batch: Name) async throws -> BatchFold {
        try await BatchFold.restored(batch, at: inherited[batch]?.checkpoint, client)
    }

    /// Follows the results of a batch indefinitely.
    private func followResults(_ batch: Name) async throws {
        let log = client.names.results(batch: batch)
        do {
            try await client.broker.follow(log, from: .offset(folds[batch]?.nextOffset ?? 0)) { chunk in
                self.apply(chunk, to: batch)
                if self.isLeading { try await self.saveIfDue(batch) }
                try await self.decide(batch)
                return true
            }
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            try await loseResults(of: batch)
        }
    }

    /// Stops a batch whose results log was deleted: the batch must not run on if its outcomes cannot be counted.
    private func loseResults(of batch: Name) async throws {
        try await journal.catchUp()
        guard let info = journal[batch], info.ending == nil else { return }
        let log = client.names.results(batch: batch)
        let reason = "\(LossReason.results.rawValue): the results log '\(log)' was deleted, with all outcomes in it"
        client.logger.error("batch \(batch): \(reason)")
        if info.isRunnable { try await journal.append(.stopped(reason: reason), to: batch, flow: info.flow) }
        // There is nothing left to follow; wait for the end of the batch, or of this aggregator.
        for await _ in journal.changes() where journal.isOver(batch) { return }
        try Task.checkCancellation()
    }

    private func apply(_ chunk: LogChunk, to batch: Name) {
        let wasTrimmed = folds[batch]?.isTrimmed
        fold(chunk, into: batch)
        if wasTrimmed == false, folds[batch]?.isTrimmed == true {
            client.logger.error(
                "batch \(batch): the first entries of its results log were removed; outcomes are not counted"
            )
        }
        missing[batch] = nil
        changed.notify()
    }

    private func fold(_ chunk: LogChunk, into batch: Name) {
        guard let start = folds[batch]?.nextOffset, let examples = folds[batch]?.apply(chunk) else { return }
        if isLeading, let end = folds[batch]?.nextOffset { feed?.note(batch, from: start, to: end, examples) }
    }

    /// Appends a checkpoint if the next aggregator would have much to read without it; returns whether it did.
    @discardableResult
    private func saveIfDue(_ batch: Name) async throws -> Bool {
        guard let fold = folds[batch], fold.needsCheckpoint(every: timing.checkpointEvery) else { return false }
        let message = ResultMessage.checkpoint(batch: batch, of: fold.state, upTo: fold.nextOffset)
        folds[batch]?.willWriteCheckpoint(of: message.body.count)
        guard message.body.count <= BatchFold.largestSnapshot else { return false }
        try await client.broker.append(message, to: client.names.results(batch: batch))
        return true
    }

    /// Reads the results of a batch to their present end.
    func catchUp(_ batch: Name) async throws {
        if folds[batch] == nil { folds[batch] = try await restore(batch) }
        let start = folds[batch]?.nextOffset ?? 0
        try await client.broker.replay(client.names.results(batch: batch), from: .offset(start)) { chunk in
            self.fold(chunk, into: batch)
        }
    }

    /// Folds batches to their present end, ends those that are done, and writes progress; the caller holds the lock.
    func foldOnce(_ batches: [BatchInfo]) async throws -> [Name: BatchProgress] {
        try await inheritProgress()
        try await client.broker.replay(client.names.heartbeats, from: .since(Heartbeat.lifetime)) { chunk in
            self.applyHeartbeats(chunk)
        }
        for batch in batches {
            do {
                try await catchUp(batch.id)
                try await Self.unlessBlocked {
                    // If workers die before they have read this far, the reader's checkpoint saves the next one the
                    // work.
                    if try await saveIfDue(batch.id) { try await catchUp(batch.id) }
                    if waitsForTwinsOnly(batch) { try await finishTwins(of: batch) }
                    try await decide(batch.id)
                }
            } catch let error as BrokerError where error.code == .notFound {
                client.logger.warning("batch \(batch.id): its results log is gone")
            }
        }
        try await journal.catchUp()
        try await Self.unlessBlocked { try await writeProgress() }
        return Dictionary(uniqueKeysWithValues: folds.keys.map { ($0, progress(of: $0)) })
    }

    /// Writes what a reader can do without while the broker is blocked; a later aggregator writes it then.
    private static func unlessBlocked(_ call: () async throws -> Void) async throws {
        do {
            try await call()
        } catch let error as BrokerError where error.code == .blocked {}
    }
}

// MARK: - Reporting progress

extension Aggregator {
    /// Reads the last report of the previous aggregator, which names the offsets of the checkpoints.
    func inheritProgress() async throws {
        let latest = try await LatestProgress(client)
        inherited = latest.batches
        feed?.inherit(latest, journal.state.batches)
    }

    /// The progress of a batch; the previous aggregator's report until the log is read as far as that one had.
    func progress(of batch: Name) -> BatchProgress {
        let fold = folds[batch] ?? BatchFold(batch: batch)
        if var before = inherited[batch], before.offset > fold.nextOffset {
            before.running = workers.running(batch)
            before.limited = workers.limited(batch)
            return before
        }
        var progress = BatchProgress(
            batch: batch,
            state: fold.state,
            running: workers.running(batch),
            offset: fold.nextOffset
        )
        progress.checkpoint = fold.checkpoint ?? inherited[batch]?.checkpoint
        progress.missing = missing[batch] ?? 0
        progress.delayed = fold.delayed.due(after: .now)
        progress.limited = workers.limited(batch)
        progress.isTrimmed = fold.isTrimmed
        return progress
    }

    /// Writes the progress of all active batches; those not read yet keep the inherited one.
    func writeProgress() async throws {
        let batches = journal.state.batches.filter { $0.ending == nil }.compactMap { batch in
            folds[batch.id] == nil ? inherited[batch.id] : progress(of: batch.id)
        }
        let report = ProgressMessage(at: .now, batches: batches, copied: feed?.positions ?? [:])
        try await client.broker.append(report.message, to: client.names.progress)
    }

    private func reportProgress() async throws {
        for await _ in changed.stream() {
            try await writeProgress()
            try await Task.sleep(for: timing.progressInterval)
        }
    }
}

// MARK: - Ending batches

extension Aggregator {
    /// Stops the batch if its error policy is exceeded, and ends it if all its tasks have ended.
    private func decide(_ batch: Name) async throws {
        guard let info = journal[batch], info.ending == nil else { return }
        folds[batch]?.apply(info)
        // Until the tasks of a retry are reopened, the settled tasks are those of the previous generation.
        guard let fold = folds[batch], ending[batch] != info.generation, fold.state.hasReopened(info.reopenings)
        else {
            return
        }
        let settled = fold.state.settled
        let policy = info.options.errorPolicy
        let failures = settled.policyFailures - info.tolerated
        if info.isRunnable, policy.isExceeded(failures: failures, total: info.sealedTotal) {
            let since = info.tolerated > 0 ? " since it was resumed" : ""
            let reason = "\(failures) tasks have failed\(since), more than '\(policy)' allows"
            try await journal.append(.stopped(reason: reason), to: batch, flow: info.flow)
        }
        if info.cancelled != nil {
            try await endCancelled(info)
        } else if let total = info.sealedTotal, settled.count == total {
            try await end(info, total: total)
        } else if info.isPiloting {
            try await endPilot(info, fold.state)
        }
    }

    /// Pauses a batch whose pilot has ended, or lets it go on if enough tasks of the pilot have succeeded.
    private func endPilot(_ batch: BatchInfo, _ state: BatchState) async throws {
        let settled = state.settledOfPilot
        // If there may be no other tasks, the batch perhaps just ends.
        guard let pilot = batch.options.pilot, settled.count >= pilot.tasks,
            (batch.sealedTotal ?? batch.published) - batch.twins > pilot.tasks, piloted.insert(batch.id).inserted
        else {
            return
        }
        let result = Pilot.Result(
            tasks: pilot.tasks,
            succeeded: settled.succeeded,
            failed: settled.failed,
            usage: state.usage,
            isPassed: pilot.isPassed(succeeded: settled.succeeded)
        )
        do {
            try await journal.append(.piloted(result), to: batch.id, flow: batch.flow)
        } catch {
            piloted.remove(batch.id)
            throw error
        }
    }

    /// Ends a cancelled batch once its creator is gone, its queues are empty and no worker runs its tasks.
    ///
    /// A worker reports a task shortly after it began. An aggregator that leads therefore waits for `signalGrace`
    /// first.
    private func endCancelled(_ batch: BatchInfo) async throws {
        let seen = cancelSeen[batch.id] ?? .now
        cancelSeen[batch.id] = seen
        guard workers.running(batch.id) == 0, !isLeading || .now - seen >= timing.signalGrace,
            try await !client.broker.isLocked(client.names.creatingLock(batch: batch.id)), ending[batch.id] == nil
        else { return }
        ending[batch.id] = batch.generation
        do {
            try await purgeQueues(of: batch)
            try await catchUp(batch.id)
            try await finishTwins(of: batch)
        } catch {
            ending[batch.id] = nil
            // If the results log was deleted, the outcomes counted so far are all that can be reported.
            guard let error = error as? BrokerError, error.code == .notFound else { throw error }
        }
        ending[batch.id] = nil
        let settled = folds[batch.id]?.state.settled.count ?? 0
        try await end(batch, total: max(batch.sealedTotal ?? batch.published, settled))
    }

    private func end(_ batch: BatchInfo, total: Int) async throws {
        guard let fold = folds[batch.id], ending.updateValue(batch.generation, forKey: batch.id) != batch.generation
        else {
            return
        }
        let settled = fold.state.settled
        let isCancelled = batch.cancelled != nil
        let counts = BatchCounts(total: total, settled: settled, running: 0, isCancelled: isCancelled)
        do {
            try await journal.append(
                .finished(
                    generation: batch.generation,
                    endOffset: fold.nextOffset,
                    counts: counts,
                    startedAt: fold.state.startedAt,
                    usage: fold.state.usage
                ),
                to: batch.id,
                flow: batch.flow
            )
        } catch {
            ending[batch.id] = nil
            throw error
        }
    }

    private func purgeQueues(of batch: BatchInfo) async throws {
        for queue in batch.queues {
            do {
                try await client.broker.purgeQueue(
                    client.names.tasks(flow: batch.flow, batch: batch.id, queue: queue)
                )
            } catch let error as BrokerError where error.code == .notFound {
                continue
            }
        }
    }

    /// Deletes the queues of a batch that has ended, once no process publishes to them.
    private func cleanUp(_ batch: Name) async throws {
        guard let info = journal[batch], info.ending != nil else { return }
        while try await client.broker.isLocked(client.names.creatingLock(batch: batch)) {
            try await Task.sleep(for: timing.interval)
        }
        // A retry in the meantime uses queues of its own generation, so these are unused whatever has happened.
        for queue in info.queues {
            try await client.broker.deleteQueue(client.names.tasks(flow: info.flow, batch: batch, queue: queue))
        }
        try await client.broker.deleteQueue(client.names.permits(batch: batch, generation: info.oldestQueue))
    }

    /// Deletes queues that the previous aggregator may have left when it died.
    private func cleanUpRecent() async throws {
        let recent = Timestamp.now + .seconds(-600)
        for batch in journal.state.batches where batch.ending.map({ $0.at > recent }) == true {
            try await cleanUp(batch.id)
        }
    }
}

// MARK: - For the search for lost tasks

extension Aggregator {
    /// The state of a batch, or nil if it is not followed.
    func fold(of batch: Name) -> BatchFold? { folds[batch] }

    /// The workers that hold leases or bulks.
    var leaseholders: Set<String> { folds.values.reduce(into: []) { $0.formUnion($1.state.leaseholders) } }

    /// The leases that return to their queue one by one if a worker is lost, each with its batch.
    func leases(of worker: String) -> [(batch: Name, lease: TaskLease)] {
        folds.flatMap { batch, fold in fold.state.leases(of: worker).map { (batch, $0) } }
    }

    /// The bulks that have a memo, each with its batch and its id.
    var bulks: [(batch: Name, id: String, bulk: Bulks.Bulk)] {
        folds.flatMap { batch, fold in
            fold.state.bulks.all.filter { $0.value.memo != nil }.map { (batch, $0.key, $0.value) }
        }
    }

    /// Whether a live worker holds tasks of a batch.
    func isHeld(_ batch: Name) -> Bool { workers.isHeld(batch) }

    /// Records how many tasks of a batch are lost; returns whether that is new.
    func note(missing count: Int, of batch: Name) -> Bool {
        if count == missing[batch] ?? 0 { return false }
        missing[batch] = count
        changed.notify()
        return true
    }
}
