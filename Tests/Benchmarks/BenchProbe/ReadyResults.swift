import Sheaf
import SheafBroker
import SheafCore

/// Writes the journal and the results log of a batch whose tasks have all run, as a creator and a worker would have.
struct ReadyResults {
    let client: SheafClient
    let batch: Name
    let count: Int

    func write() async throws {
        let log = client.names.results(batch: batch)
        try await client.broker.declareLog(LogDeclaration(name: log))
        try await append(.created(options: BatchOptions(), source: "ready", nonce: batch.text))
        for published in stride(from: 10_000, to: count, by: 10_000) { try await append(.published(count: published)) }
        try await append(.sealed(total: count))
        for start in stride(from: 0, to: count, by: 20 * ResultMessage.maximumOutcomes) {
            let end = min(start + 20 * ResultMessage.maximumOutcomes, count)
            let messages = stride(from: start, to: end, by: ResultMessage.maximumOutcomes).map { first in
                message(first..<min(first + ResultMessage.maximumOutcomes, end))
            }
            try await client.broker.append(messages, to: log)
        }
    }

    private func message(_ indices: Range<Int>) -> Message {
        let output = Array("\"\(String(repeating: "x", count: 198))\"".utf8)
        var lines: [UInt8] = []
        for index in indices {
            let outcome = Outcome(
                index: index,
                status: .succeeded,
                recordID: "record-\(index)",
                output: output,
                startedAt: .now,
                finishedAt: .now,
                worker: "bench"
            )
            outcome.writeLine(to: &lines)
        }
        return ResultMessage.outcomes(batch: batch, lines: lines)
    }

    private func append(_ event: JournalEntry.Event) async throws {
        let entry = JournalEntry(batch: batch, flow: .echo, at: .now, event: event)
        try await client.broker.append(entry.message, to: client.names.journal)
    }
}
