/// The state of one batch as a whole, as recorded in the journal.
public struct BatchInfo: Sendable, Equatable {
    /// The end of a batch.
    package struct Ending: Sendable, Equatable {
        /// When the batch ended.
        package var at: Timestamp
        /// The generation that ended.
        package var generation: Int
        /// The offset of the results log from which outcomes no longer count.
        package var endOffset: Int64
        /// The final counts.
        package var counts: BatchCounts
        /// When the first task started.
        package var startedAt: Timestamp?
        /// The total usage of the tasks that succeeded.
        package var usage: Usage
    }

    /// Why and when a batch was stopped.
    public struct Stop: Sendable, Equatable {
        /// The reason, as text.
        public var reason: String
        /// When the batch was stopped.
        public var at: Timestamp
    }

    /// How and when a batch was cancelled.
    package struct Cancellation: Sendable, Equatable {
        /// Whether running tasks are ended too.
        package var now: Bool
        /// When the batch was cancelled.
        package var at: Timestamp
    }

    /// Tasks that a retry opened again: those of the `reopened` entries with this nonce in the results log.
    package struct Reopening: Sendable, Hashable {
        /// The generation that the tasks are open for.
        package var generation: Int
        /// Distinguishes the entries that count from those of a retry that was never finished.
        package var nonce: String
        /// The number of tasks.
        package var count: Int

        package init(generation: Int, nonce: String, count: Int) {
            self.generation = generation
            self.nonce = nonce
            self.count = count
        }
    }

    /// The batch's id.
    public let id: Name
    /// The batch's flow.
    public let flow: Name
    /// The options that the batch was created with.
    public let options: BatchOptions
    /// A description of where the records came from.
    public let source: String
    /// The description of how to read the records again, or null if the creator did not give one.
    package let input: JSONValue
    /// The nonce of the process that created the batch.
    package let nonce: String
    /// When the batch was created.
    public let createdAt: Timestamp
    /// The number of tasks that the broker has confirmed.
    package private(set) var published = 0
    /// The digest of the records of the confirmed tasks, if their creator kept one.
    package private(set) var publishedDigest: String?
    /// How many of the published tasks, or of the total, get the outcome of an earlier one with an identical record.
    public private(set) var twins = 0
    /// The total, once all tasks are confirmed.
    package private(set) var sealedTotal: Int?
    /// Why and when the error policy or a fatal error stopped the batch, if the batch is stopped.
    public private(set) var stopped: Stop?
    /// How and when the batch was cancelled, if it was.
    package private(set) var cancelled: Cancellation?
    /// Whether the batch is paused.
    public private(set) var isPaused = false
    /// How the pilot ended; nil if it has not, or there is none.
    public private(set) var pilotResult: Pilot.Result?
    /// Whether the tasks after the pilot may run; true if there are none.
    package private(set) var isPastPilot: Bool
    /// The end of the batch, if it has ended.
    package private(set) var ending: Ending?
    /// The offset of the results log at which the previous generation ended; 0 if there is none.
    package private(set) var previousEnd: Int64 = 0
    /// The newest generation of the batch's tasks.
    public private(set) var generation = 0
    /// The oldest generation whose queue may still hold tasks.
    package private(set) var oldestQueue = 0
    /// The retries, in the order of their generations (from 1).
    package private(set) var reopenings: [Reopening] = []
    /// The number of failures that the error policy ignores because the batch was resumed or retried after them.
    package private(set) var tolerated = 0
    /// The number of times that the batch was resumed or retried; distinguishes a stop that was lifted from a later
    /// one.
    package private(set) var continuations = 0
    /// The ids of the webhooks that were sent, or given up.
    package private(set) var notified: Set<String> = []
    /// The batch's concurrency limit and its permits.
    package private(set) var permits: PermitRules

    /// When tasks were published; empty once the batch is sealed.
    private(set) var publishingTimes = PublishingTimes()

    /// When the batch was sealed, retried or resumed last, or went on after its pilot; nil if none of that happened.
    private var releasedAt: Timestamp?

    /// More webhooks than any batch sends; entries come from foreign programs, too.
    private static let maximumNotified = 10_000

    /// Whether workers may start tasks of the batch.
    package var isRunnable: Bool { stopped == nil && cancelled == nil && !isPaused && ending == nil }

    /// Whether the pilot is not over yet: only its tasks run.
    public var isPiloting: Bool { !isPastPilot && pilotResult == nil && ending == nil && cancelled == nil }

    /// Whether the batch has paused itself after its pilot, and waits to be resumed or cancelled.
    public var awaitsResume: Bool { !isPastPilot && pilotResult != nil && ending == nil && cancelled == nil }

    /// Whether the creator may still publish tasks that workers may take before anything else happens.
    package var expectsTasks: Bool {
        if sealedTotal != nil { return false }
        return isPastPilot || published - twins < options.pilot?.tasks ?? 0
    }

    /// Whether tasks that run may still ask questions: a cancelled batch lets them finish, unless they are cancelled
    /// too.
    package var mayAsk: Bool { ending == nil && cancelled?.now != true }

    /// The maximum number of tasks that run at once across all workers, or nil for no limit.
    public var maxRunning: Int? { permits.limit }
    /// The generations whose queues may still hold tasks.
    package var generations: ClosedRange<Int> { oldestQueue...generation }

    /// The queues that may still hold tasks, the oldest first.
    package var queues: [TaskQueue] {
        generations.flatMap { generation -> [TaskQueue] in
            generation == 0 && options.pilot != nil ? [.generation(0), .rest] : [.generation(generation)]
        }
    }

    /// The queues from which workers may take tasks: without those after a pilot that is not over.
    package var openQueues: [TaskQueue] { isPastPilot ? queues : queues.filter { $0 != .rest } }

    init(
        id: Name,
        flow: Name,
        options: BatchOptions,
        source: String,
        input: JSONValue,
        nonce: String,
        createdAt: Timestamp
    ) {
        self.id = id
        self.flow = flow
        self.options = options
        self.source = source
        self.input = input
        self.nonce = nonce
        self.createdAt = createdAt
        self.permits = PermitRules(limit: options.maxRunning)
        self.isPastPilot = options.pilot == nil
    }

    /// Returns when a task was published, up to a minute later; nil if the batch is sealed, or if that minute is not
    /// over.
    package func publishingTime(ofTask index: Int) -> Timestamp? { publishingTimes.time(ofTask: index) }

    /// Returns since when a task could have been run at the latest; nil if that was not long ago.
    ///
    /// That is when it was published, or when the batch was sealed, retried or resumed, or went on after its pilot,
    /// whatever came last.
    package func waitingSince(task index: Int) -> Timestamp? {
        if sealedTotal != nil { return releasedAt }
        return publishingTime(ofTask: index).map { max($0, releasedAt ?? $0) }
    }

    /// Returns the status of the batch.
    ///
    /// The journal does not record task starts, so the caller passes `hasStarted` from the batch's results.
    package func status(hasStarted: Bool) -> BatchStatus {
        if cancelled != nil { return .cancelled }
        if stopped != nil { return .failed }
        if ending != nil { return .completed }
        if isPaused { return .paused }
        return hasStarted ? .processing : .pending
    }

    mutating func apply(_ entry: JournalEntry) {
        if case .retried(let generation, let nonce, let count, let tolerated) = entry.event {
            reopen(Reopening(generation: generation, nonce: nonce, count: count), tolerated: tolerated, at: entry.at)
        }
        if case .notified(let id) = entry.event, notified.count < Self.maximumNotified { notified.insert(id) }
        guard ending == nil else { return }  // The first end counts; a cancel after it is too late.
        switch entry.event {
        // The first creation counts; the others are handled elsewhere.
        case .created, .deleted, .retried, .notified: break
        case .published(let count, let digest, let twins):
            if count >= published, sealedTotal == nil { self.twins = twins }
            if count > published, sealedTotal == nil { publishingTimes.add(count, at: entry.at) }
            if count >= published { (published, publishedDigest) = (count, digest ?? publishedDigest(at: count)) }
        case .sealed(let total, let twins):
            if sealedTotal == nil { (sealedTotal, self.twins, releasedAt) = (total, twins, entry.at) }
            // All tasks are of the pilot, so the batch just ends.
            if let pilot = options.pilot, (sealedTotal ?? 0) - self.twins <= pilot.tasks, pilotResult == nil {
                isPastPilot = true
            }
            publishingTimes.clear()
        case .stopped(let reason): if stopped == nil, cancelled == nil { stopped = Stop(reason: reason, at: entry.at) }
        case .cancelled(let now):
            if cancelled == nil {
                cancelled = Cancellation(now: now, at: entry.at)
            } else if now {
                cancelled?.now = true
            }
        case .paused: isPaused = true
        case .piloted(let result):
            guard pilotResult == nil, !isPastPilot else { return }
            pilotResult = result
            if result.isPassed { (isPastPilot, releasedAt) = (true, entry.at) } else { isPaused = true }
        case .resumed(let tolerated):
            isPaused = false
            if sealedTotal != nil || pilotResult != nil { releasedAt = entry.at }
            if pilotResult != nil { isPastPilot = true }
            go(tolerating: tolerated)
        case .changed(let maxRunning): permits.change(to: maxRunning)
        case .finished(let generation, let endOffset, let counts, let startedAt, let usage):
            guard generation == self.generation else { return }
            ending = Ending(
                at: entry.at,
                generation: generation,
                endOffset: endOffset,
                counts: counts,
                startedAt: startedAt,
                usage: usage
            )
        }
    }

    /// Begins the next generation; a retry that was prepared for a different state of the batch changes nothing.
    private mutating func reopen(_ reopening: Reopening, tolerated: Int, at time: Timestamp) {
        guard reopening.generation == generation + 1, cancelled == nil, sealedTotal != nil else { return }
        generation = reopening.generation
        reopenings.append(reopening)
        // The queues of an ended batch are deleted, or will be.
        if let ending { (oldestQueue, previousEnd) = (generation, ending.endOffset) }
        ending = nil
        releasedAt = time
        go(tolerating: tolerated)
    }

    /// A creator that resumes another's work keeps no digest; an earlier digest for the same count is still valid.
    private func publishedDigest(at count: Int) -> String? { count == published ? publishedDigest : nil }

    private mutating func go(tolerating failures: Int) {
        stopped = nil
        tolerated = failures
        continuations += 1
    }
}
