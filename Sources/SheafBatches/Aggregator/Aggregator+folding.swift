import Logging
import SheafBroker
import SheafCore

extension Aggregator {
    /// How long a checkpoint is looked for where the last aggregator has said that it stands.
    private static let checkpointPatience = Duration.seconds(3)
    /// How long a results log may be absent: a broker that has just started says so of logs that are still there.
    private static let absencePatience = Duration.seconds(10)

    /// The state of a batch by its newest checkpoint; empty, so that its log is read from the start, where there is none.
    func restore(_ batch: Name) async throws -> BatchFold {
        guard let place = inherited[batch]?.checkpoint else { return BatchFold(batch: batch) }
        let log = client.names.results(batch: batch)
        var found: BatchFold?
        do {
            found = try await withTimeLimit(Self.checkpointPatience, "no checkpoint at \(place) of log \(log)") {
                let reader = try await self.client.broker.read(log, from: .offset(place))
                do {
                    var fold: BatchFold?
                    while fold == nil, let chunk = try await reader.next() {
                        guard let entry = chunk.entries.first else { continue }
                        guard entry.offset == place, let saved = ResultMessage.checkpoint(entry.message) else { break }
                        fold = BatchFold(batch: batch, state: saved.state, upTo: saved.offset, checkpoint: place)
                    }
                    await reader.cancel()
                    return fold
                } catch {
                    await reader.cancel()
                    throw error
                }
            }
        } catch let error as SheafError where error.code == .timedOut {
            found = nil
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            found = nil
        }
        if let found { return found }
        client.logger.warning("batch \(batch): its checkpoint is torn or gone; its results are read from the start")
        return BatchFold(batch: batch)
    }

    /// Follows a batch's results for ever.
    func followResults(_ batch: Name) async throws {
        let log = client.names.results(batch: batch)
        var absentSince: ContinuousClock.Instant?
        while true {
            do {
                try await client.broker.follow(log, from: .offset(folds[batch]?.nextOffset ?? 0)) { chunk in
                    absentSince = nil
                    self.apply(chunk, to: batch)
                    if self.isLeading { try await self.saveIfDue(batch) }
                    try await self.decide(batch)
                    return true
                }
                return
            } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
                let since = absentSince ?? .now
                absentSince = since
                if .now - since >= Self.absencePatience { return try await loseResults(of: batch) }
                try await Task.sleep(for: timing.interval)
            }
        }
    }

    /// Halts a batch whose results log somebody has deleted: what it can not count it must not go on with.
    private func loseResults(of batch: Name) async throws {
        try await journal.catchUp()
        guard let record = journal[batch], record.ending == nil else { return }
        let reason = """
            results-lost: the log \(client.names.results(batch: batch)) was deleted from the broker, and with it the \
            outcomes; 'sheaf delete \(batch) --force' removes the rest, then create the batch again under another id
            """
        client.logger.error("batch \(batch): \(reason)")
        if record.isRunnable { try await journal.append(.stopped(reason: reason), to: batch, flow: record.flow) }
        // Nothing is left to follow; the end of the batch, or of this aggregator, ends the waiting.
        for await _ in journal.changes() where journal.isOver(batch) { return }
        try Task.checkCancellation()
    }

    private func apply(_ chunk: LogChunk, to batch: Name) {
        let wasTrimmed = folds[batch]?.isTrimmed
        folds[batch]?.apply(chunk)
        if wasTrimmed == false, folds[batch]?.isTrimmed == true {
            client.logger.error(
                "batch \(batch): the first entries of its results log were removed, by a retention policy perhaps; outcomes are not counted"
            )
        }
        missing[batch] = nil
        changed.notify()
    }

    /// Appends a checkpoint where the next aggregator would have much to read without it; tells whether it did.
    @discardableResult
    private func saveIfDue(_ batch: Name) async throws -> Bool {
        guard let fold = folds[batch], fold.needsCheckpoint(every: timing.checkpointEvery) else { return false }
        let message = ResultMessage.checkpoint(batch: batch, of: fold.state, upTo: fold.nextOffset)
        folds[batch]?.willWriteCheckpoint(of: message.body.count)
        guard message.body.count <= BatchFold.largestSnapshot else { return false }
        try await client.broker.append(message, to: client.names.results(batch: batch))
        return true
    }

    /// Reads a batch's results to their present end.
    func catchUp(_ batch: Name) async throws {
        if folds[batch] == nil { folds[batch] = try await restore(batch) }
        let start = folds[batch]?.nextOffset ?? 0
        try await client.broker.replay(client.names.results(batch: batch), from: .offset(start)) { chunk in
            self.folds[batch]?.apply(chunk)
        }
    }

    /// Folds some batches to their present end, ends those that are done, and tells everybody; the caller holds the lock.
    func foldOnce(_ batches: [BatchInfo]) async throws -> [Name: BatchProgress] {
        try await inheritProgress()
        try await client.broker.replay(client.names.heartbeats, from: .since(Heartbeat.lifetime)) { chunk in
            for entry in chunk.entries { self.signals.apply(entry.message) }
        }
        for record in batches {
            do {
                try await catchUp(record.id)
                try await Self.ifTaken {
                    // Where workers die before they have read as much, who looks at the batch keeps what it has read.
                    if try await saveIfDue(record.id) { try await catchUp(record.id) }
                    try await decide(record.id)
                }
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
}
