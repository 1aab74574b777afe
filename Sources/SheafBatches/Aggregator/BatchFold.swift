import SheafBroker
import SheafCore

/// The state of one batch, and how far its results log was read for it.
struct BatchFold: Sendable {
    let batch: Name
    private(set) var state = BatchState()
    private(set) var nextOffset: Int64 = 0
    /// Where the newest checkpoint stands in the log, as far as is known.
    private(set) var checkpoint: Int64?
    /// Whether entries were removed from the log before they were read.
    private(set) var isTrimmed = false
    /// How many bytes of the log were read since the newest checkpoint.
    private var unsavedBytes = 0
    private var snapshotSize = 0
    /// Until when tasks wait for their next attempt.
    private var delays: [Int: ContinuousClock.Instant] = [:]
    /// When something was last heard of the batch.
    private(set) var lastChange = ContinuousClock.now

    /// The least that is read before another checkpoint is worth its place.
    static let checkpointEvery = 16 << 20
    /// A checkpoint is written when this many times its size has been read.
    private static let checkpointShare = 32
    /// A state larger than this makes no checkpoint: it would not fit into a message.
    static let largestSnapshot = 7 << 20
    /// How much later than said a task may come back from a delay.
    private static let delaySlack = Duration.seconds(30)

    init(batch: Name) { self.batch = batch }

    /// Begins with what a checkpoint holds; it stands at `place`.
    init(batch: Name, state: BatchState, upTo offset: Int64, checkpoint place: Int64) {
        self.batch = batch
        self.state = state
        self.nextOffset = offset
        self.checkpoint = place
    }

    /// Takes over what the journal says of the batch.
    mutating func apply(_ record: BatchInfo) {
        let before = state.published
        state.apply(record)
        if state.published != before { lastChange = .now }
    }

    /// Applies entries of the results log; those applied before change nothing.
    mutating func apply(_ chunk: LogChunk, now: ContinuousClock.Instant = .now) {
        // Streams leave out an offset where a segment begins.
        if chunk.startOffset > nextOffset + 1 { isTrimmed = true }
        for entry in chunk.entries where entry.offset >= nextOffset {
            let event = ResultEvent(entry.message)
            unsavedBytes += entry.message.body.count
            switch event {
            case .checkpoint:
                checkpoint = entry.offset
                snapshotSize = entry.message.body.count
                unsavedBytes = 0
            case .delayed(let index, _, let delay): delays[index] = now + delay + Self.delaySlack
            case .outcomes(let outcomes, _):
                if !delays.isEmpty { for outcome in outcomes { delays[outcome.index] = nil } }
            default: break
            }
            state.apply(event, at: entry.offset)
            lastChange = now
        }
        nextOffset = max(nextOffset, chunk.nextOffset)
    }

    /// Whether so much was read since the newest checkpoint that another is worth it.
    func needsCheckpoint(every bytes: Int) -> Bool {
        unsavedBytes >= max(bytes, snapshotSize * Self.checkpointShare)
    }

    /// Notes that a checkpoint is on its way, so that not each chunk until it is read back asks for another.
    mutating func willWriteCheckpoint(of size: Int) {
        unsavedBytes = 0
        snapshotSize = size
    }

    /// Whether a task waits for its next attempt.
    func isDelayed(now: ContinuousClock.Instant = .now) -> Bool { delays.values.contains { $0 > now } }
}
