import SheafBroker
package import SheafCore
import Synchronization

/// Reads the questions of one batch from its results log.
///
/// It begins at the newest checkpoint and reads each entry once, however many of its users wait at the same time.
package actor QuestionReader {
    private let client: SheafClient
    private let journal: Journal
    private let batch: Name
    private var fold: BatchFold?
    private var waiting = 0
    /// Follows the log while a user waits.
    private var following: Task<Void, Never>?
    private var failure: (any Error)?
    private let changed = Changes()

    /// Creates a reader; the journal has to be current.
    package init(client: SheafClient, journal: Journal, batch: Name) {
        self.client = client
        self.journal = journal
        self.batch = batch
    }

    private nonisolated var log: String { client.names.results(batch: batch) }

    /// Appends an entry and returns when it is confirmed.
    package nonisolated func append(_ entry: QuestionEntry) async throws {
        try await retrying { try await client.broker.append(entry.message(batch: batch), to: log) }
    }

    /// Reads the log up to its present end and returns the state; an empty one if the log is gone.
    func read() async throws -> BatchState {
        do {
            try await retrying(for: .seconds(15)) {
                try await client.broker.replay(log, from: start()) { chunk in self.apply(chunk) }
            }
        } catch let error as BrokerError {
            guard error.code == .notFound || error.code == .queueGone else { throw error }
        }
        return fold?.state ?? BatchState()
    }

    /// Appends an answer and returns the answer that counts, which may be an earlier one, or nil if none does.
    ///
    /// The questions have to be read before.
    /// - Parameter entry: The answer; its author must be unique.
    func give(_ entry: QuestionEntry) async throws -> QuestionState.Answer? {
        try await append(entry)
        var counted: QuestionState.Answer?
        try await client.broker.follow(log, from: .offset(fold?.nextOffset ?? 0)) { chunk in
            // One by one: an outcome that follows the answer ends the question.
            for read in chunk.entries where read.offset >= fold?.nextOffset ?? 0 {
                self.apply(LogChunk(entries: [read], nextOffset: read.offset + 1))
                counted = fold?.state.questions[entry.id]?.answer ?? counted
                if QuestionEntry(read.message) == entry { return false }
            }
            return true
        }
        return counted
    }

    /// Follows the log until the state has what is looked for; reconnects after a lost connection.
    package func wait<Value: Sendable>(for find: @Sendable (BatchState) -> Value?) async throws -> Value {
        waiting += 1
        if waiting == 1 {
            failure = nil
            following = Task { [previous = following] in
                await previous?.value
                await self.follow()
            }
        }
        defer {
            waiting -= 1
            if waiting == 0 { following?.cancel() }
        }
        for await _ in changed.stream() {
            if let failure { throw failure }
            if let value = fold.flatMap({ find($0.state) }) { return value }
        }
        throw CancellationError()
    }

    private func follow() async {
        do {
            let position = try await retrying { try await start() }
            try await client.broker.follow(log, from: position) { chunk in
                self.apply(chunk)
                return true
            }
            throw CancellationError()
        } catch {
            if Task.isCancelled { return }
            failure = error
            changed.notify()
        }
    }

    /// Where to continue reading: at the newest checkpoint that the aggregator reported, or after what was read.
    private func start() async throws -> LogPosition {
        var latest = LatestProgress()
        try await client.broker.replay(client.names.progress, from: .last) { latest.apply($0) }
        let place = latest.batches[batch]?.checkpoint
        if let fold, place ?? 0 <= fold.nextOffset { return .offset(fold.nextOffset) }
        let restored = try await BatchFold.restored(batch, at: place, client)
        if fold.map({ $0.nextOffset < restored.nextOffset }) ?? true { fold = restored }
        return .offset(fold?.nextOffset ?? 0)
    }

    private func apply(_ chunk: LogChunk) {
        if let info = journal[batch] { fold?.apply(info) }
        fold?.apply(chunk)
        changed.notify()
    }
}

/// The readers of the batches that one process asks questions for.
package final class QuestionReaders: Sendable {
    private let client: SheafClient
    private let journal: Journal
    private let readers = Mutex<[Name: QuestionReader]>([:])

    /// Creates readers; the journal has to be followed.
    package init(client: SheafClient, journal: Journal) {
        self.client = client
        self.journal = journal
    }

    /// The reader of a batch.
    package subscript(_ batch: Name) -> QuestionReader {
        readers.withLock { readers in
            if let reader = readers[batch] { return reader }
            readers = readers.filter { !journal.isOver($0.key) }
            let reader = QuestionReader(client: client, journal: journal, batch: batch)
            readers[batch] = reader
            return reader
        }
    }
}
