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
    /// Whether the outcomes are final: the batch has ended.
    package var isComplete: Bool { batch.ending != nil }

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
            while let lines = try await nextLines() {
                let outcomes = lines.compactMap(\.outcome)
                if !outcomes.isEmpty { return outcomes }
            }
            return nil
        }

        /// The next outcomes as lines of the log, or nil at the end; throws what ``next()`` throws.
        package mutating func nextLines() async throws -> [ResultLine]? {
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

/// A line of a results log whose outcome counts.
package struct ResultLine: Sendable {
    /// The part of the outcome that is needed for counting.
    package let summary: OutcomeSummary
    /// The line without its line break, as a part of its message.
    package let bytes: ArraySlice<UInt8>

    /// The outcome in full, or nil if the line is invalid.
    package var outcome: Outcome? { try? Outcome(line: Array(bytes)) }

    /// The same line without a reference to its message.
    fileprivate var alone: ResultLine { ResultLine(summary: summary, bytes: Array(bytes)[...]) }
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
    private var cancelled: [Int: ResultLine] = [:]
    private var backoff = Backoff()

    init(client: SheafClient, batch: BatchInfo, end: Int64) {
        self.client = client
        self.batch = batch
        self.end = end
        fold.apply(batch)
    }

    func next() async throws -> [ResultLine]? {
        while nextOffset < end {
            do {
                if !knowsReopened { try await readReopened() }
                let chunk = try await nextChunk()
                let lines = chunk.flatMap(standing)
                if !lines.isEmpty { return lines }
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
        let rest = cancelled.values.filter { !fold.isSettled($0.summary.index) }
            .sorted { $0.summary.index < $1.summary.index }
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

    private func standing(_ entry: LogEntry) -> [ResultLine] {
        var lines: [ResultLine] = []
        for (summary, range) in ResultMessage.summarizedLines(of: entry.message) {
            let line = ResultLine(summary: summary, bytes: entry.message.body[range])
            if summary.status == .cancelled { cancelled[summary.index] = line.alone }
            if fold.apply(summary) { lines.append(line) }
        }
        return lines
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

    func add(_ chunk: [ResultLine]) throws {
        for line in chunk {
            let index = line.summary.index
            let place = [UInt64(lines.size), UInt64(line.bytes.count)]
            try line.bytes.withUnsafeBytes { try lines.append($0) }
            try place.withUnsafeBytes { try places.write($0, at: index * 16) }
            count = max(count, index + 1)
        }
    }

    func next() throws -> [ResultLine]? {
        var chunk: [ResultLine] = []
        while position < count, chunk.count < 200 {
            defer { position += 1 }
            if let line = try line(of: position) { chunk.append(line) }
        }
        return chunk.isEmpty ? nil : chunk
    }

    /// The line of a task, or nil if the task has no outcome.
    func line(of index: Int) throws -> ResultLine? {
        var place: [UInt64] = [0, 0]
        _ = try place.withUnsafeMutableBytes { try places.read(into: $0, at: index * 16) }
        if place[1] == 0 { return nil }
        var line = [UInt8](repeating: 0, count: Int(place[1]))
        _ = try line.withUnsafeMutableBytes { try lines.read(into: $0, at: Int(place[0])) }
        let summary = try line.withUnsafeBufferPointer { try OutcomeSummary(line: $0) }
        return ResultLine(summary: summary, bytes: line[...])
    }
}
