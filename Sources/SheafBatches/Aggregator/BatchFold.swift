import Logging
import SheafBroker
import SheafCore

/// The state of one batch, and how far its results log was read.
struct BatchFold: Sendable {
    let batch: Name
    private(set) var state = BatchState()
    private(set) var nextOffset: Int64 = 0
    /// The offset of the newest checkpoint in the log, or nil if none is known.
    private(set) var checkpoint: Int64?
    /// Whether entries were removed from the log before they were read.
    private(set) var isTrimmed = false
    /// How many bytes of the log were read since the newest checkpoint.
    private var unsavedBytes = 0
    private var snapshotSize = 0
    /// Until when tasks wait for their next attempt.
    private var delays: [Int: ContinuousClock.Instant] = [:]
    /// The same tasks as reports count them.
    private(set) var delayed = DelayedTasks()
    /// When the log last had an entry, or the journal a newly published task.
    private(set) var lastChange = ContinuousClock.now

    /// How many bytes justify another checkpoint, at least.
    static let checkpointEvery = 16 << 20
    /// A checkpoint is written after this many times its size has been read.
    private static let checkpointShare = 32
    /// A larger state is not written as a checkpoint, because it would not fit into a message.
    static let largestSnapshot = 7 << 20
    /// How much later than scheduled a delayed task may return.
    private static let delaySlack = Duration.seconds(30)

    init(batch: Name) { self.batch = batch }

    /// Creates the state of a checkpoint at offset `place`.
    init(batch: Name, state: BatchState, upTo offset: Int64, checkpoint place: Int64) {
        self.batch = batch
        self.state = state
        self.nextOffset = offset
        self.checkpoint = place
    }

    /// Applies what the journal reports of the batch.
    mutating func apply(_ info: BatchInfo) {
        let before = state.published
        state.apply(info)
        if state.published != before { lastChange = .now }
    }

    /// Applies entries of the results log; entries that were applied before are skipped.
    ///
    /// Returns an entry with an outcome of each status that occurs.
    @discardableResult
    mutating func apply(_ chunk: LogChunk, now: ContinuousClock.Instant = .now) -> [Outcome.Status: LogEntry] {
        var examples: [Outcome.Status: LogEntry] = [:]
        // Streams skip an offset at the start of a segment.
        if chunk.startOffset > nextOffset + 1 { isTrimmed = true }
        for entry in chunk.entries where entry.offset >= nextOffset {
            let event = ResultEvent(entry.message)
            if case .outcomes(let outcomes, _) = event {
                for status in Outcome.Status.allCases where examples[status] == nil {
                    if outcomes.contains(where: { $0.status == status }) { examples[status] = entry }
                }
            }
            unsavedBytes += entry.message.body.count
            switch event {
            case .checkpoint:
                checkpoint = entry.offset
                snapshotSize = entry.message.body.count
                unsavedBytes = 0
            case .delayed(let index, _, let delay):
                delays[index] = now + delay + Self.delaySlack
                delayed.insert(index, for: delay, at: entry.time ?? .now)
            case .outcomes(let outcomes, _):
                if !delays.isEmpty {
                    for outcome in outcomes {
                        delays[outcome.index] = nil
                        delayed.remove(outcome.index)
                    }
                }
            default: break
            }
            state.apply(event, at: entry.offset)
            lastChange = now
        }
        nextOffset = max(nextOffset, chunk.nextOffset)
        return examples
    }

    /// Whether enough was read since the newest checkpoint to justify another.
    func needsCheckpoint(every bytes: Int) -> Bool {
        unsavedBytes >= max(bytes, snapshotSize * Self.checkpointShare)
    }

    /// Records that a checkpoint is being written, so that the chunks until it is read back do not ask for another.
    mutating func willWriteCheckpoint(of size: Int) {
        unsavedBytes = 0
        snapshotSize = size
    }

    /// Whether a task waits for its next attempt.
    func isDelayed(now: ContinuousClock.Instant = .now) -> Bool { delays.values.contains { $0 > now } }
}

// MARK: - Restoring

extension BatchFold {
    /// How long a checkpoint is searched for at the offset that an aggregator reported.
    private static let checkpointPatience = Duration.seconds(3)

    /// Restores the state of a batch from the checkpoint at an offset of its results log.
    ///
    /// Returns an empty state, so that the log is read from its start, if there is no checkpoint.
    static func restored(_ batch: Name, at place: Int64?, _ client: SheafClient) async throws -> BatchFold {
        guard let place else { return BatchFold(batch: batch) }
        let log = client.names.results(batch: batch)
        var found: BatchFold?
        do {
            found = try await withTimeLimit(checkpointPatience, "no checkpoint at \(place) of log \(log)") {
                let reader = try await client.broker.read(log, from: .offset(place))
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
        client.logger.warning("batch \(batch): its checkpoint is damaged or gone; its results are read from the start")
        return BatchFold(batch: batch)
    }
}

/// The intervals and grace periods of an aggregator.
package struct AggregatorTiming: Sendable {
    /// How often a standby tries to take over, and how often cancelled batches are checked.
    var interval = Duration.milliseconds(400)
    /// How long after a cancel a worker may still report for the first time that it runs a task.
    var signalGrace = Duration.milliseconds(800)
    /// The shortest time between two progress messages.
    var progressInterval = Duration.seconds(1)
    /// How long a worker's lock must be free before its leased tasks are returned; a lost connection is back sooner.
    var leaseGrace = Duration.seconds(10)
    /// How long a batch must be quiet before its tasks can count as missing.
    var missingGrace = Duration.seconds(10)
    /// How many bytes of a results log are read between two checkpoints, at least.
    var checkpointEvery = BatchFold.checkpointEvery
}
