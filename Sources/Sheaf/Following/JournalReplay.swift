import Logging
import SheafBroker
import SheafCore

/// Reads a journal to its present end: from its newest checkpoint on, where there is one, and leaves one for those who come
/// later where there was much to read.
struct JournalReplay {
    let client: SheafClient

    /// A journal that is this much longer than its checkpoint says gets a new one; so many entries are read from a stream in
    /// the time in which a checkpoint is written.
    private static let length: Int64 = 64
    /// How long reading or writing a checkpoint may take; without one, more is to be read, and nothing is lost.
    private static let patience = Duration.seconds(2)

    /// What the journal says up to its present end.
    func checkpoint() async throws -> JournalCheckpoint {
        async let newest = newest()
        let end = try await retrying(for: .seconds(15)) { try await client.broker.endOffset(of: client.names.journal) }
        guard let end else { throw BrokerError(.notFound, "there is no log '\(client.names.journal)'") }
        // One that speaks of more than there is belongs to a journal that somebody has removed.
        let known = await newest.flatMap { $0.nextOffset <= end ? $0 : nil }
        var history = known?.history ?? JournalHistory()
        let start = known?.nextOffset ?? 0
        var next = start
        try await retrying(for: .seconds(15)) {
            try await client.broker.replay(client.names.journal, from: .offset(next), to: end) { chunk in
                for entry in chunk.entries { history.add(entry.message) }
                next = chunk.nextOffset
            }
        }
        let checkpoint = JournalCheckpoint(nextOffset: next, history: history)
        // Where much matters, writing it down again has to be worth more.
        if next - start >= max(Self.length, Int64(history.count / 4)) { await write(checkpoint) }
        return checkpoint
    }

    /// The newest checkpoint; nil where there is none, or none that can be read.
    private func newest() async -> JournalCheckpoint? {
        let (broker, log) = (client.broker, client.names.checkpoints)
        do {
            return try await within(Self.patience) {
                let reader = try await broker.read(log, from: .last)
                do {
                    let chunk = try await reader.next()
                    await reader.cancel()
                    return chunk?.entries.last.flatMap { JournalCheckpoint($0.message) }
                } catch {
                    await reader.cancel()
                    throw error
                }
            } ?? nil
        } catch let error as BrokerError where error.code == .notFound {
            return nil
        } catch {
            client.logger.debug("no checkpoint of the journal could be read: \(error)")
            return nil
        }
    }

    private func write(_ checkpoint: JournalCheckpoint) async {
        let message = checkpoint.message
        guard message.body.count <= JournalCheckpoint.maximumSize else { return }
        let (broker, log) = (client.broker, client.names.checkpoints)
        do {
            let written: Void? = try await within(Self.patience) {
                // By whoever writes the first, so that a small journal costs nobody anything.
                try await broker.declareLog(LogDeclaration(name: log, maximumBytes: 64 << 20))
                try await broker.append(message, to: log)
            }
            if written == nil { client.logger.debug("writing a checkpoint of the journal took too long") }
        } catch {
            client.logger.debug("no checkpoint of the journal could be written: \(error)")
        }
    }
}
