import Logging
import SheafBroker
import SheafCore

/// Reads the journal from its newest checkpoint to its present end, and writes a new checkpoint if there was much to
/// read.
struct JournalReplay {
    let client: SheafClient

    /// How many entries after the checkpoint justify a new one: reading them takes as long as writing a checkpoint.
    private static let worthWriting: Int64 = 64
    /// The time limit for reading or writing a checkpoint; without one there is more to read, and nothing is lost.
    private static let patience = Duration.seconds(10)

    /// Reads the journal up to its present end.
    func read() async throws -> JournalCheckpoint {
        async let newest = newest()
        var end = try await end()
        var known = await newest
        // The checkpoint may be newer than the end that was requested at the same time.
        if let known, known.nextOffset > end { end = try await self.end() }
        // A checkpoint that covers more than there is belongs to a journal that was deleted.
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
        // The larger the checkpoint, the more entries must justify writing it again.
        if next - start >= max(Self.worthWriting, Int64(history.count / 4)) { await write(checkpoint) }
        return checkpoint
    }

    private func end() async throws -> Int64 {
        try await retrying(for: .seconds(15)) { try await client.broker.presentEnd(of: client.names.journal) }
    }

    /// The newest checkpoint, or nil if there is none that can be read.
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
            // The first checkpoint has not been written yet.
            return nil
        } catch {
            client.logger.debug("cannot read a checkpoint of the journal: \(error)")
            return nil
        }
    }

    private func write(_ checkpoint: JournalCheckpoint) async {
        guard checkpoint.history.size < JournalCheckpoint.maximumSize else { return complain("it would be too large") }
        let message = checkpoint.message
        // Every process would write a checkpoint again that none can read.
        guard JournalCheckpoint(message) != nil else { return complain("it could not be read again") }
        let (broker, log) = (client.broker, client.names.checkpoints)
        do {
            try await withTimeLimit(Self.patience, "it took longer than \(Self.patience)") {
                // Declared with the first checkpoint, so that a small journal costs nothing.
                try await broker.declareLog(LogDeclaration(name: log, maximumBytes: 64 << 20))
                try await broker.append(message, to: log)
            }
        } catch {
            complain("\(error)")
        }
    }

    private func complain(_ reason: String) {
        client.logger.debug("cannot write a checkpoint of the journal: \(reason)")
    }
}
