import SheafBroker
public import SheafCore
import SheafSources

/// The outcomes of a batch that count, one for each task that has one, in chunks.
///
/// They reach to the end of the batch, or to the time of the call if it has not ended. Outcomes of cancelled tasks come
/// last.
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
        SheafError(.notFound, "the results of batch '\(batch)' are gone: its results log was deleted from the broker")
    }

    /// Starts reading.
    public func makeAsyncIterator() -> Iterator {
        let cursor = ResultCursor(client: client, batch: batch, end: end)
        return Iterator(cursor: cursor, isOrdered: isOrdered)
    }

    /// Reads the outcomes in chunks.
    public struct Iterator: AsyncIteratorProtocol {
        let cursor: ResultCursor
        let isOrdered: Bool
        private var sorted: SortedOutcomes?

        init(cursor: ResultCursor, isOrdered: Bool) {
            self.cursor = cursor
            self.isOrdered = isOrdered
        }

        /// The next outcomes, or nil at the end; throws `BrokerError`, and `notFound` if the log was deleted.
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

/// Reads a results log up to an offset and passes on the outcomes that count.
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

    /// Reads which tasks were reopened, so that only outcomes are passed on that no later one replaces.
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
            throw BrokerError(.closed, "the reader of the results of batch '\(batch.id)' was closed")
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

/// Sorts outcomes by task number on disk, so that memory does not grow with the batch.
///
/// One file has the lines as they arrive; another has the position and length of each line, 16 bytes per task.
final class SortedOutcomes {
    private let lines: TemporaryFile
    private let places: TemporaryFile
    private var count = 0
    private var position = 0

    init() throws {
        lines = try TemporaryFile(in: nil)
        places = try TemporaryFile(in: nil)
    }

    func add(_ outcomes: [Outcome]) throws {
        for outcome in outcomes {
            var line: [UInt8] = []
            outcome.writeLine(to: &line)
            let place = [UInt64(lines.size), UInt64(line.count)]
            try line.withUnsafeBytes { try lines.append($0) }
            try place.withUnsafeBytes { try places.write($0, at: outcome.index * 16) }
            count = max(count, outcome.index + 1)
        }
    }

    func next() throws -> [Outcome]? {
        var chunk: [Outcome] = []
        while position < count, chunk.count < 200 {
            defer { position += 1 }
            var place: [UInt64] = [0, 0]
            _ = try place.withUnsafeMutableBytes { try places.read(into: $0, at: position * 16) }
            if place[1] == 0 { continue }  // a task without an outcome
            var line = [UInt8](repeating: 0, count: Int(place[1]))
            _ = try line.withUnsafeMutableBytes { try lines.read(into: $0, at: Int(place[0])) }
            if line.last == UInt8(ascii: "\n") { line.removeLast() }
            chunk.append(try Outcome(line: line))
        }
        return chunk.isEmpty ? nil : chunk
    }
}
