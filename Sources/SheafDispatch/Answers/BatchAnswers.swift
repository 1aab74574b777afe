import SheafBatches
import SheafBroker
import SheafCore
import SheafSources

/// The outcomes of one batch by the ids of their records.
///
/// Reads each entry of the results log once, and keeps 48 bytes for each outcome. While a request is awaited, it follows
/// the log.
actor BatchAnswers {
    private struct Place {
        let offset: Int64
        let index: Int
    }

    /// What an awaiting call gets: an outcome, nothing because the batch is over, or the error of the reading.
    private typealias Waiter = AsyncThrowingStream<Outcome?, any Error>.Continuation

    private let client: SheafClient
    private let journal: Journal
    private let batch: Name
    private var fold = BatchState()
    private var places: [RecordIDSet.Digest: Place] = [:]
    private var nextOffset: Int64 = 0
    /// The generation of the batch when the log was read last.
    private var generation: Int?
    private var waiters: [String: [Int: Waiter]] = [:]
    private var waitersMade = 0
    private var following: Task<Void, Never>?
    private var reading: Task<Void, any Error>?

    /// Creates the answers of a batch; the journal has to be followed.
    init(client: SheafClient, journal: Journal, batch: Name) {
        self.client = client
        self.journal = journal
        self.batch = batch
    }

    private nonisolated var log: String { client.names.results(batch: batch) }

    /// Returns what became of a request of the batch; nil if the batch is deleted.
    ///
    /// A batch that does not exist yet has no outcomes.
    func find(_ id: String) async throws -> RequestAnswer? {
        // A retry may have taken back what was read.
        if generation == journal[batch]?.generation, let outcome = try await outcome(of: id) {
            return .ended(batch: batch, outcome)
        }
        try await readTogether()
        if let outcome = try await outcome(of: id) { return .ended(batch: batch, outcome) }
        if journal.state.isDeleted(batch) { return nil }
        return isOver ? .cancelled(batch: batch) : .dispatched(batch: batch)
    }

    /// Waits until a request of the batch has its outcome, or the batch is over.
    func wait(for id: String) async throws -> RequestAnswer? {
        let present = try await find(id)
        if present?.isFinal ?? true { return present }
        waitersMade += 1
        let number = waitersMade
        let (stream, waiter) = AsyncThrowingStream<Outcome?, any Error>.makeStream()
        waiters[id, default: [:]][number] = waiter
        defer {
            waiters[id]?[number] = nil
            if waiters[id]?.isEmpty == true { waiters[id] = nil }
            if waiters.isEmpty {
                following?.cancel()
                following = nil
            }
        }
        // An outcome may have been read while this call was suspended.
        if let outcome = try await outcome(of: id) { return .ended(batch: batch, outcome) }
        if following == nil { following = Task { await self.follow() } }
        for try await outcome in stream {
            if let outcome { return .ended(batch: batch, outcome) }
            return try await find(id)
        }
        throw CancellationError()
    }

    /// Whether the batch has ended and everything before its end is read.
    private var isOver: Bool { journal[batch]?.ending.map { nextOffset >= $0.endOffset } ?? false }

    // MARK: Reading

    /// Reads the log to its present end, or to the end of the batch; calls at the same time share one reading.
    private func readTogether() async throws {
        if let reading { return try await reading.value }
        let task = Task { try await self.read() }
        reading = task
        defer { reading = nil }
        try await task.value
    }

    private func read() async throws {
        let present = journal[batch]?.generation
        do {
            let end: Int64
            if let ending = journal[batch]?.ending {
                end = ending.endOffset
            } else {
                end = try await retrying(for: .seconds(15)) { try await client.broker.presentEnd(of: log) }
            }
            try await client.broker.replay(log, from: .offset(nextOffset), to: end) { chunk in
                try await self.apply(chunk)
            }
            if let info = journal[batch] { fold.apply(info) }
            generation = present
        } catch let error as BrokerError where [.notFound, .queueGone].contains(error.code) {
            return  // the batch is deleted, or not created yet
        }
    }

    private func apply(_ chunk: LogChunk) async throws {
        // Outcomes of a retry count only once the journal has the retry.
        let generations = chunk.entries.lazy.flatMap { ResultMessage.summarizedLines(of: $0.message) }
            .map(\.summary.generation)
        if let newest = generations.max(), newest > journal[batch]?.generation ?? 0 { try await journal.catchUp() }
        if let info = journal[batch] { fold.apply(info) }
        let end = journal[batch]?.ending?.endOffset ?? .max
        for entry in chunk.entries where entry.offset >= nextOffset && entry.offset < end { apply(entry) }
        nextOffset = max(nextOffset, min(chunk.nextOffset, end))
    }

    private func apply(_ entry: LogEntry) {
        guard entry.message.type == ResultMessage.outcomesType else {
            return fold.apply(ResultEvent(entry.message), at: entry.offset)
        }
        for (summary, range) in ResultMessage.summarizedLines(of: entry.message) where fold.apply(summary) {
            guard let outcome = try? Outcome(line: Array(entry.message.body[range])), !outcome.isConflict else {
                continue
            }
            let id = RecordIDSet.Digest(outcome.recordID)
            // Of several tasks of a request, the first that ends counts, as long as it is not retried.
            if let known = places[id], known.index != outcome.index, fold.isSettled(known.index) { continue }
            places[id] = Place(offset: entry.offset, index: outcome.index)
            for waiter in (waiters[outcome.recordID] ?? [:]).values { waiter.yield(outcome) }
        }
    }

    /// Reads the outcome of a request that has one.
    private func outcome(of id: String) async throws -> Outcome? {
        guard let place = places[RecordIDSet.Digest(id)], fold.isSettled(place.index) else { return nil }
        var found: Outcome?
        do {
            try await client.broker.entries(of: log, from: .offset(place.offset), upTo: place.offset + 1) { entry in
                found = ResultMessage.outcomes(of: entry.message).last { $0.recordID == id && $0.index == place.index }
            }
        } catch let error as BrokerError where [.notFound, .queueGone].contains(error.code) {
            return nil  // the batch was deleted
        }
        return found
    }

    // MARK: Following

    /// Follows the log and the journal until nothing is awaited or the batch is over.
    private func follow() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.followLog() }
            group.addTask { await self.followJournal() }
            await group.next()
            group.cancelAll()
        }
        if !Task.isCancelled { following = nil }
    }

    /// Follows the log, which may not exist yet.
    private func followLog() async {
        for await _ in journal.changes() {
            do {
                try await client.broker.follow(log, from: .offset(nextOffset)) { chunk in
                    try await self.apply(chunk)
                    return true
                }
                return
            } catch let error as BrokerError where [.notFound, .queueGone].contains(error.code) {
                continue
            } catch {
                if !Task.isCancelled { finishWaiting(throwing: error) }
                return
            }
        }
    }

    private func followJournal() async {
        for await _ in journal.changes() {
            guard journal.isOver(batch), journal[batch] != nil || journal.state.isDeleted(batch) else { continue }
            do {
                try await readTogether()
            } catch {
                return finishWaiting(throwing: error)
            }
            if Task.isCancelled { return }
            for waiter in waiters.values.flatMap(\.values) { waiter.yield(nil) }
            return
        }
    }

    private func finishWaiting(throwing error: any Error) {
        for waiter in waiters.values.flatMap(\.values) { waiter.finish(throwing: error) }
    }
}
