import SheafBroker
public import SheafCore

/// The outcomes of a batch that stand, one for each task that has one, in chunks.
///
/// Up to the batch's end where it has one, else up to the moment of asking. Outcomes of tasks that a cancel has ended come last.
public struct BatchResults: AsyncSequence, Sendable {
    /// Some outcomes.
    public typealias Element = [Outcome]

    /// The batch.
    public let batch: BatchInfo
    private let client: SheafClient
    let end: Int64
    private let isOrdered: Bool

    static func open(client: SheafClient, reference: String, ordered: Bool, upTo last: Int64? = nil) async throws
        -> BatchResults
    {
        let journal = try await Journal.read(from: client)
        let batch = try journal.find(reference)
        let log = client.names.results(batch: batch.id)
        var end = last ?? batch.ending?.endOffset
        if end == nil { end = try await client.broker.endOffset(of: log) }
        guard let end else { throw Self.gone(batch.id) }
        return BatchResults(batch: batch, client: client, end: end, isOrdered: ordered)
    }

    static func gone(_ batch: Name) -> SheafError {
        SheafError(.notFound, "the results of batch '\(batch)' are gone: somebody has deleted its log from the broker")
    }

    /// Begins to read.
    public func makeAsyncIterator() -> Iterator {
        let cursor = ResultCursor(client: client, batch: batch, end: end)
        return Iterator(cursor: cursor, isOrdered: isOrdered)
    }

    /// Reads chunk by chunk.
    public struct Iterator: AsyncIteratorProtocol {
        let cursor: ResultCursor
        let isOrdered: Bool
        private var sorted: SortedOutcomes?

        init(cursor: ResultCursor, isOrdered: Bool) {
            self.cursor = cursor
            self.isOrdered = isOrdered
        }

        /// The next outcomes, or nil at the end; throws what the broker throws.
        public mutating func next() async throws -> [Outcome]? {
            guard isOrdered else { return try await cursor.next() }
            if sorted == nil {
                let spool = try SortedOutcomes()
                while let chunk = try await cursor.next() { try spool.add(chunk) }
                sorted = spool
            }
            return try sorted?.next()
        }
    }
}

/// Reads a results log up to an offset and lets through what stands.
actor ResultCursor {
    private let client: SheafClient
    private let batch: BatchInfo
    private let end: Int64
    private var fold = BatchState()
    private var knowsReopened = false
    private var nextOffset: Int64 = 0
    private var reader: (any LogReader)?
    private var cancelled: [Int: Outcome] = [:]
    private var backoff = Backoff()

    init(client: SheafClient, batch: BatchInfo, end: Int64) {
        self.client = client
        self.batch = batch
        self.end = end
        fold.apply(batch)
    }

    func next() async throws -> [Outcome]? {
        while nextOffset < end {
            do {
                if !knowsReopened { try await readReopened() }
                let chunk = try await nextChunk()
                let outcomes = chunk.flatMap(standing)
                if !outcomes.isEmpty { return outcomes }
            } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
                throw BatchResults.gone(batch.id)
            } catch let error as BrokerError where error.isRetryable {
                reader = nil
                var pause = backoff
                try await pause.pause()
                backoff = pause
            }
        }
        await reader?.cancel()
        reader = nil
        let rest = cancelled.values.filter { !fold.isSettled($0.index) }.sorted { $0.index < $1.index }
        cancelled = [:]
        return rest.isEmpty ? nil : rest
    }

    /// Reads which tasks were opened again, so that an outcome is only let through when no later one can take its place.
    private func readReopened() async throws {
        while !fold.hasReopened(batch.reopenings), nextOffset < end {
            for entry in try await nextChunk() {
                if case .reopened(let generation, let nonce, let tasks) = ResultEvent(entry.message) {
                    fold.applyReopened(generation: generation, nonce: nonce, tasks: tasks)
                }
            }
        }
        knowsReopened = true
        if nextOffset > 0 {
            await reader?.cancel()
            reader = nil
            nextOffset = 0
        }
    }

    private func nextChunk() async throws -> [LogEntry] {
        let log = client.names.results(batch: batch.id)
        if reader == nil { reader = try await client.broker.read(log, from: .offset(nextOffset)) }
        guard let chunk = try await reader?.next() else {
            throw BrokerError(.closed, "reading the results of batch '\(batch.id)' was ended")
        }
        nextOffset = chunk.nextOffset
        return chunk.entries.filter { $0.offset < end }
    }

    private func standing(_ entry: LogEntry) -> [Outcome] {
        ResultMessage.outcomes(of: entry.message).filter { outcome in
            if outcome.status == .cancelled { cancelled[outcome.index] = outcome }
            return fold.apply(outcome.summary)
        }
    }
}
