import SheafBroker
import SheafCore

/// The state of one batch, and how far its results log was read for it.
struct BatchFold: Sendable {
    let batch: Name
    private(set) var state = BatchState()
    private(set) var nextOffset: Int64 = 0

    init(batch: Name) { self.batch = batch }

    /// Takes over what the journal says of the batch.
    mutating func apply(_ record: BatchRecord) { state.apply(record) }

    /// Applies entries of the results log; those applied before change nothing.
    mutating func apply(_ chunk: LogChunk) {
        for entry in chunk.entries where entry.offset >= nextOffset {
            state.apply(ResultEvent(entry.message))
        }
        nextOffset = max(nextOffset, chunk.nextOffset)
    }
}
