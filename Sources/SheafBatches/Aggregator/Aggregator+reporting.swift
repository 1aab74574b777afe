import SheafBroker
import SheafCore

extension Aggregator {
    /// Reads what the aggregator before this one has said last, which tells where its checkpoints stand.
    func inheritProgress() async throws {
        let latest = LatestProgress()
        try await client.broker.replay(client.names.progress, from: .last) { await latest.apply($0) }
        inherited = await latest.batches
    }

    /// How far a batch is; until its log is read as far as the last aggregator had, what that has said.
    func progress(of batch: Name) -> BatchProgress {
        let fold = folds[batch] ?? BatchFold(batch: batch)
        if var before = inherited[batch], before.offset > fold.nextOffset {
            before.running = signals.running(batch)
            before.limited = signals.limited(batch)
            return before
        }
        var progress = BatchProgress(
            batch: batch,
            state: fold.state,
            running: signals.running(batch),
            offset: fold.nextOffset
        )
        progress.checkpoint = fold.checkpoint ?? inherited[batch]?.checkpoint
        progress.missing = missing[batch] ?? 0
        progress.limited = signals.limited(batch)
        progress.isTrimmed = fold.isTrimmed
        return progress
    }

    /// Says how far all active batches are; those not read yet are as far as was said last.
    func writeProgress() async throws {
        let batches = journal.state.batches.filter { $0.ending == nil }.compactMap { record in
            folds[record.id] == nil ? inherited[record.id] : progress(of: record.id)
        }
        try await client.broker.append(ProgressMessage(at: .now, batches: batches).message, to: client.names.progress)
    }

    func reportProgress() async throws {
        for await _ in changed.stream() {
            try await writeProgress()
            try await Task.sleep(for: timing.progressInterval)
        }
    }

    func followHeartbeats() async throws {
        try await client.broker.follow(client.names.heartbeats, from: .since(Heartbeat.lifetime)) { chunk in
            self.applyHeartbeats(chunk)
            return true
        }
    }

    private func applyHeartbeats(_ chunk: LogChunk) {
        for entry in chunk.entries { signals.apply(entry.message) }
        changed.notify()
    }
}
