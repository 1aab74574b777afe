import SheafBroker
package import SheafCore
import Synchronization

/// Folds the results log of one batch for all its users in a process: questions that wait, and bulks.
///
/// It begins at the newest checkpoint and reads each entry once, however many of its users wait at the same time.
package actor FoldFollower {
    private let client: SheafClient
    private let journal: Journal
    private let batch: Name
    private var fold: BatchFold?
    private var waiting = 0
    /// Follows the log while a user waits.
    private var following: Task<Void, Never>?
    private var failure: (any Error)?
    private let changed = Changes()

    /// Creates a follower; the journal has to be current.
    package init(client: SheafClient, journal: Journal, batch: Name) {
        self.client = client
        self.journal = journal
        self.batch = batch
    }

    private nonisolated var log: String { client.names.results(batch: batch) }

    /// Reads the log up to its present end and returns the state; throws `notFound` if the log is gone.
    package func catchUp() async throws -> BatchState {
        try await client.broker.replay(log, from: start()) { chunk in self.apply(chunk) }
        if let info = journal[batch] { fold?.apply(info) }
        return fold?.state ?? BatchState()
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
        let place = try await LatestProgress(client).batches[batch]?.checkpoint
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

// MARK: - Questions

extension FoldFollower {
    /// Appends an entry and returns when it is confirmed.
    package nonisolated func append(_ entry: QuestionEntry) async throws {
        try await retrying { try await client.broker.append(entry.message(batch: batch), to: log) }
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
}

// MARK: - Bulks

extension FoldFollower {
    /// The newest memo of a bulk; nil if it has none.
    package func memo(of bulk: Bulks.Bulk) async throws -> [UInt8]? {
        guard let offset = bulk.memo else { return nil }
        var memo: [UInt8]?
        try await read([offset]) { memo = $0.message.body }
        return memo
    }

    /// Returns the tasks of some leases of a state, read from the log; those that are not there are left out.
    package func tasks(of leases: some Collection<TaskLease>) async throws -> [(lease: TaskLease, task: BatchTask)] {
        let byOffset = Dictionary(leases.map { ($0.offset, $0) }, uniquingKeysWith: { $1 })
        var tasks: [(lease: TaskLease, task: BatchTask)] = []
        try await read(byOffset.keys.sorted()) { entry in
            if let lease = byOffset[entry.offset], let task = TaskLease.task(of: entry.message) {
                tasks.append((lease, task))
            }
        }
        return tasks
    }

    /// Reads the entries at some offsets, in order.
    private func read(_ offsets: [Int64], _ body: (LogEntry) -> Void) async throws {
        guard let first = offsets.first, let last = offsets.last else { return }
        let wanted = Set(offsets)
        try await client.broker.entries(of: log, from: .offset(first), upTo: last + 1) { entry in
            if wanted.contains(entry.offset) { body(entry) }
        }
    }
}

/// The followers of the batches that one process asks questions for or holds bulks of, one for each batch.
package final class FoldFollowers: Sendable {
    private let client: SheafClient
    let journal: Journal
    private let followers = Mutex<[Name: FoldFollower]>([:])

    /// Creates followers; the journal has to be followed.
    package init(client: SheafClient, journal: Journal) {
        self.client = client
        self.journal = journal
    }

    /// The follower of a batch.
    package subscript(_ batch: Name) -> FoldFollower {
        followers.withLock { followers in
            if let follower = followers[batch] { return follower }
            followers = followers.filter { !journal.isOver($0.key) }
            let follower = FoldFollower(client: client, journal: journal, batch: batch)
            followers[batch] = follower
            return follower
        }
    }
}
