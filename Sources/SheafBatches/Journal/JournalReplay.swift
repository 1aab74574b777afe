import Logging
import SheafBroker
import SheafCore

/// Reads a journal to its present end: from its newest checkpoint on, where there is one, and leaves one for those who come
/// later where there was much to read.
struct JournalReplay {
    let client: SheafClient

    /// A journal that is this much longer than its checkpoint says gets a new one; so many entries are read from a stream in
    /// the time in which a checkpoint is written.
    private static let worthWriting: Int64 = 64
    /// After how long reading or writing a checkpoint is given up; without one, more is to be read, and nothing is lost.
    private static let patience = Duration.seconds(2)

    /// What the journal says up to its present end.
    func read() async throws -> JournalCheckpoint {
        async let newest = newest()
        var end = try await end()
        var known = await newest
        // One that is newer than the end that was asked for beside it speaks of a later one.
        if let known, known.nextOffset > end { end = try await self.end() }
        // One that still speaks of more than there is belongs to a journal that somebody has removed.
        if let offset = known?.nextOffset, offset > end { known = nil }
        let present = end
        var history = known?.history ?? JournalHistory()
        let start = known?.nextOffset ?? 0
        var next = start
        try await retrying(for: .seconds(15)) {
            try await client.broker.replay(client.names.journal, from: .offset(next), to: present) { chunk in
                for entry in chunk.entries { history.add(entry.message) }
                next = chunk.nextOffset
            }
        }
        let checkpoint = JournalCheckpoint(nextOffset: next, history: history)
        // Where much matters, writing it down again has to be worth more.
        if next - start >= max(Self.worthWriting, Int64(history.count / 4)) { await write(checkpoint) }
        return checkpoint
    }

    private func end() async throws -> Int64 {
        try await retrying(for: .seconds(15)) { try await client.broker.presentEnd(of: client.names.journal) }
    }

    /// The newest checkpoint; nil where there is none, or none that can be read.
    private func newest() async -> JournalCheckpoint? {
        let (broker, log) = (client.broker, client.names.checkpoints)
        do {
            return try await withTimeLimit(Self.patience, "it took longer than \(Self.patience)") {
                let reader = try await broker.read(log, from: .last)
                do {
                    let chunk = try await reader.next()
                    await reader.cancel()
                    return chunk?.entries.last.flatMap { JournalCheckpoint($0.message) }
                } catch {
                    await reader.cancel()
                    throw error
                }
            }
        } catch let error as BrokerError where error.code == .notFound {
            // Nobody has had much to read yet, which is nothing to speak of.
            return nil
        } catch {
            client.logger.debug("no checkpoint of the journal could be read: \(error)")
            return nil
        }
    }

    private func write(_ checkpoint: JournalCheckpoint) async {
        guard checkpoint.history.size < JournalCheckpoint.maximumSize else { return complain("it would be too large") }
        let message = checkpoint.message
        // What nobody could read would be written again by everybody.
        guard JournalCheckpoint(message) != nil else { return complain("it could not be read again") }
        let (broker, log) = (client.broker, client.names.checkpoints)
        do {
            try await withTimeLimit(Self.patience, "it took longer than \(Self.patience)") {
                // By whoever writes the first, so that a small journal costs nobody anything.
                try await broker.declareLog(LogDeclaration(name: log, maximumBytes: 64 << 20))
                try await broker.append(message, to: log)
            }
        } catch {
            complain("\(error)")
        }
    }

    private func complain(_ reason: String) {
        client.logger.debug("no checkpoint of the journal is written: \(reason)")
    }
}
