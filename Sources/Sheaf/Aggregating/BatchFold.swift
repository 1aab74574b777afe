import SheafBroker
import SheafCore

/// The state of one batch, and how far its results log was read for it.
struct BatchFold: Sendable {
    let batch: Name
    private(set) var state = BatchState()
    private(set) var nextOffset: Int64 = 0

    init(batch: Name) { self.batch = batch }

    /// Takes over what the journal says of the batch's size.
    mutating func apply(_ record: BatchRecord) {
        state.applyPublished(record.published)
        if let total = record.sealedTotal { state.applySealed(total: total) }
    }

    /// Applies entries of the results log; those applied before change nothing.
    mutating func apply(_ chunk: LogChunk) {
        for entry in chunk.entries where entry.offset >= nextOffset {
            if let moment = ResultMessage.startedAt(entry.message) { state.applyStarted(at: moment) }
            for outcome in ResultMessage.summaries(of: entry.message).outcomes { state.apply(outcome) }
        }
        nextOffset = max(nextOffset, chunk.nextOffset)
    }
}
