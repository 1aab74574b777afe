public import ServiceLifecycle
import SheafBroker
public import SheafCore
import Synchronization

/// A live view of all batches, for processes that run long: a server, a dashboard, a program that waits.
///
/// The directory follows the journal, the progress of the aggregator and the heartbeats of the workers. A look at it
/// reads memory only and writes nothing to the broker, whereas each ``SheafClient/batches()`` reads the journal again.
///
/// Create it, run it once by itself or in a `ServiceGroup`, and look at it as often as you like:
///
/// ```swift
/// let directory = try await BatchDirectory(client: client)
/// async let following: Void = directory.run()
/// for await _ in directory.changes() { show(directory.snapshot) }
/// try await following
/// ```
///
/// It reconnects by itself if the connection to the broker is lost; until then it shows what it knew last.
public final class BatchDirectory: Service {
    private struct Contents {
        var progress = LatestProgress()
        /// Where the progress log is followed from.
        var progressStart = LogPosition.last
        var workers = LiveWorkers()
        var roster = WorkerRoster()
        /// Whether heartbeats were followed long enough for every live worker to have sent one.
        var knowsWorkers = false
        var live: [Name: LiveCounts] = [:]
        var interruptions = LastingInterruptions()
        var interrupted: Set<Name> = []
    }

    /// What heartbeats report of a batch.
    private struct LiveCounts: Equatable {
        var running: Int
        var limited: RateLimitWait?
    }

    private let client: SheafClient
    private let journal: Journal
    private let questions: FoldFollowers
    private let submissions: SubmissionReader
    private let isAggregating: Bool
    /// The only batch that matters, or nil for all.
    private let focus: Name?
    private let contents = Mutex(Contents())
    private let changed = Changes()

    /// How often live counts are compared; workers send a heartbeat every second.
    private static let tick = Duration.seconds(1)
    /// How often the locks of creators are checked.
    private static let creatorInterval = Duration.seconds(2)

    /// Reads the journal and the newest progress; the directory is complete from then on, and current while it runs.
    ///
    /// - Parameters:
    ///   - client: The connection to use; it must stay open while the directory runs.
    ///   - isAggregating: Whether this process takes over as the aggregator if no other process is one. Without any
    ///     aggregator, counts of tasks and questions stay as they are, no error policy is enforced and no batch ends.
    /// - Throws: `BrokerError`.
    public convenience init(client: SheafClient, isAggregating: Bool = true) async throws {
        try await self.init(client: client, isAggregating: isAggregating, only: nil)
    }

    /// Creates a directory that handles only one batch in full, given by its id or as `last`; throws `notFound`.
    init(client: SheafClient, isAggregating: Bool, only reference: String?) async throws {
        self.client = client
        self.isAggregating = isAggregating
        self.journal = try await Journal.read(from: client)
        self.questions = FoldFollowers(client: client, journal: journal)
        self.submissions = SubmissionReader(client: client)
        self.focus = try reference.map { [journal] in try journal.find($0).id }
        var progress = LatestProgress()
        var start = LogPosition.last
        try await retrying(for: .seconds(15)) {
            try await client.broker.replay(client.names.progress, from: start) { chunk in
                progress.apply(chunk)
                start = .offset(chunk.nextOffset)
            }
        }
        let (newest, position) = (progress, start)
        contents.withLock { contents in
            contents.progress = newest
            contents.progressStart = position
        }
    }

    // MARK: Looking

    /// All batches as they are now, oldest first.
    public var snapshot: [BatchSummary] {
        let batches = journal.state.batches
        return contents.withLock { contents in batches.map { Self.summary(of: $0, contents) } }
    }

    /// A batch by its id, or the newest for `last`, as it is now.
    ///
    /// - Throws: ``SheafError`` with `notFound` if the batch does not exist or was deleted.
    public func summary(of reference: String) throws -> BatchSummary {
        let batch = try journal.find(reference)
        return contents.withLock { Self.summary(of: batch, $0) }
    }

    /// The indexes of the tasks of a batch that workers run now.
    package func running(in batch: Name) -> Set<Int> { contents.withLock { $0.workers.indices(of: batch) } }

    /// Some batches for which a condition holds, newest first.
    ///
    /// The cost is bounded whatever the number of batches: see ``BatchPage/reach``.
    package func page(
        after place: BatchPage.Place? = nil,
        limit: Int,
        where isIncluded: (BatchSummary) -> Bool = { _ in true }
    ) -> BatchPage {
        let (batches, hasMore) = journal.state.batches(before: place)
        return contents.withLock { contents in
            var page = BatchPage(batches: [], next: nil)
            var last: BatchInfo?
            for batch in batches {
                if page.batches.count == limit {
                    page.next = last.map(BatchPage.Place.init)
                    return page
                }
                last = batch
                let summary = Self.summary(of: batch, contents)
                if isIncluded(summary) { page.batches.append(summary) }
            }
            if hasMore { page.next = last.map(BatchPage.Place.init) }
            return page
        }
    }

    /// The workers that are known to live, by name; complete once the directory has run for ``Heartbeat/idleInterval``.
    package var workers: [LiveWorker] { contents.withLock { $0.roster.live } }

    /// The submissions of a batch, oldest first; reads what is new of their log.
    ///
    /// - Throws: ``SheafError`` with `notFound` if the batch does not exist.
    package func submissions(of reference: String) async throws -> [Submission] {
        let batch = try journal.find(reference)
        return try await submissions.catchUp().all.filter { $0.batch == batch.id }.map { $0.seen(in: batch) }
    }

    /// The open questions of one batch, or of all batches that have not ended, oldest batch first.
    ///
    /// Reads what was appended to the results logs of interactive batches since the last call.
    ///
    /// - Throws: ``SheafError`` with `notFound` if the batch does not exist, and `notNow` if it is not interactive.
    package func questions(of reference: String?) async throws -> [OpenQuestion] {
        try await questions.openQuestions(of: reference)
    }

    /// Reads the journal to its present end, so that the directory shows what the caller has just changed.
    package func catchUp() async throws { try await journal.catchUp() }

    /// A stream with an element at first and after each change; a slow reader gets one element for many changes.
    ///
    /// Counts of tasks change about once a second. The stream ends when ``run()`` returns.
    public func changes() -> AsyncStream<Void> { changed.stream() }

    private static func summary(of batch: BatchInfo, _ contents: Contents) -> BatchSummary {
        if batch.ending != nil { return BatchSummary(info: batch, progress: nil) }
        var progress = contents.progress.batches[batch.id]
        if contents.knowsWorkers {
            // If no aggregator runs, its last report still counts the tasks that ran then.
            progress?.running = contents.workers.running(batch.id)
            progress?.limited = contents.workers.limited(batch.id)
        }
        var summary = BatchSummary(info: batch, progress: progress)
        summary.isInterrupted = contents.interrupted.contains(batch.id)
        return summary
    }

    // MARK: Following

    /// Follows the broker until the task is cancelled or the service shuts down; call it once.
    ///
    /// - Throws: `BrokerError` if the error does not pass by itself, and `CancellationError`.
    public func run() async throws {
        defer { changed.finish() }
        do {
            try await cancelWhenGracefulShutdown { try await self.follow() }
        } catch is CancellationError {
            try Task.checkCancellation()  // after a graceful shutdown the task itself is not cancelled
        }
    }

    private func follow() async throws {
        let (broker, names) = (client.broker, client.names)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.journal.run() }
            if isAggregating {
                group.addTask { try await Aggregator(client: self.client, journal: self.journal).run() }
            }
            group.addTask {
                try await broker.follow(names.progress, from: self.contents.withLock { $0.progressStart }) { chunk in
                    self.contents.withLock { $0.progress.apply(chunk) }
                    self.changed.notify()
                    return true
                }
            }
            group.addTask {
                try await broker.follow(names.heartbeats, from: .since(Heartbeat.lifetime)) { chunk in
                    self.contents.withLock { contents in
                        for entry in chunk.entries {
                            guard let heartbeat = Heartbeat(entry.message) else { continue }
                            contents.workers.apply(heartbeat)
                            contents.roster.apply(heartbeat)
                        }
                    }
                    return true
                }
            }
            group.addTask { try await self.followJournal() }
            group.addTask { try await self.compareLiveCounts() }
            group.addTask { try await self.watchCreators() }
            try await group.next()
            group.cancelAll()
        }
    }

    private func followJournal() async throws {
        for await _ in journal.changes() {
            // A retry begins with a report of its own, so the one of a batch that has ended is of no further use.
            contents.withLock { $0.progress.keep { !journal.isOver($0) } }
            changed.notify()
        }
        try Task.checkCancellation()
    }

    /// Notifies at most once a second of what heartbeats report; a worker that dies is noticed by its silence.
    private func compareLiveCounts() async throws {
        while true {
            try await Task.sleep(for: Self.tick)
            let active = journal.state.batches.filter { $0.ending == nil }.map(\.id)
            let hasChanged = contents.withLock { contents in
                contents.workers.prune()
                contents.roster.prune()
                contents.knowsWorkers = true
                var live: [Name: LiveCounts] = [:]
                for batch in active {
                    live[batch] = LiveCounts(
                        running: contents.workers.running(batch),
                        limited: contents.workers.limited(batch)
                    )
                }
                defer { contents.live = live }
                return contents.live != live
            }
            if hasChanged { changed.notify() }
        }
    }

    /// Checks whether creators are alive: a creator that dies writes nothing.
    private func watchCreators() async throws {
        while true {
            try await Task.sleep(for: Self.creatorInterval)
            for batch in journal.state.batches.map(\.id) where focus == nil || focus == batch {
                do {
                    let isInterrupted = try await lacksCreator(batch)
                    let hasChanged = contents.withLock { contents in
                        let isLasting = contents.interruptions.note(batch, isInterrupted: isInterrupted)
                        if contents.interrupted.contains(batch) == isLasting { return false }
                        if isLasting { contents.interrupted.insert(batch) } else { contents.interrupted.remove(batch) }
                        return true
                    }
                    if hasChanged { changed.notify() }
                } catch let error as BrokerError where error.isRetryable {
                    continue
                }
            }
        }
    }

    private func lacksCreator(_ batch: Name) async throws -> Bool {
        func isOpen() -> Bool { journal[batch].map { $0.sealedTotal == nil && $0.ending == nil } == true }
        guard isOpen() else { return false }
        let isLocked = try await client.broker.isLocked(client.names.creatingLock(batch: batch))
        return !isLocked && isOpen()
    }
}
