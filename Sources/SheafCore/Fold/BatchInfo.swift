/// What the journal says of one batch.
public struct BatchInfo: Sendable, Equatable {
    /// How the batch ended.
    public struct Ending: Sendable, Equatable {
        /// When.
        public var at: Timestamp
        /// The generation that ended.
        public var generation: Int
        /// Where in the results log outcomes stop to count.
        public var endOffset: Int64
        /// The final counts.
        public var counts: BatchCounts
        /// When the first task had begun.
        public var startedAt: Timestamp?
        /// What the tasks took that succeeded, all together.
        public var usage: Usage
    }

    /// Why and when a batch was halted.
    public struct Stop: Sendable, Equatable {
        /// Why, for people.
        public var reason: String
        /// When.
        public var at: Timestamp
    }

    /// How and when a batch was cancelled.
    public struct Cancellation: Sendable, Equatable {
        /// Whether running tasks are ended too.
        public var now: Bool
        /// When.
        public var at: Timestamp
    }

    /// Tasks opened again: so many, by the `reopened` entries of that nonce in the results log.
    public struct Reopening: Sendable, Hashable {
        /// The generation they are open for.
        public var generation: Int
        /// Tells the entries that count from those of a retry that was never finished.
        public var nonce: String
        /// How many tasks.
        public var count: Int

        /// Makes a reopening.
        public init(generation: Int, nonce: String, count: Int) {
            self.generation = generation
            self.nonce = nonce
            self.count = count
        }
    }

    /// The batch.
    public let id: Name
    /// Its flow.
    public let flow: Name
    /// What was asked for.
    public let options: BatchOptions
    /// Where its records came from, for people.
    public let source: String
    /// How to read the records again, or null where that was not said.
    public let input: JSONValue
    /// Whose creation it is.
    public let nonce: String
    /// When it was created.
    public let createdAt: Timestamp
    /// How many tasks are confirmed.
    public internal(set) var published = 0
    /// The digest of the records of the tasks that are confirmed, where their creator kept one.
    public internal(set) var publishedDigest: String?
    /// The total, once all tasks are confirmed.
    public internal(set) var sealedTotal: Int?
    /// Why and when it was halted by its policy, if it is.
    public internal(set) var stopped: Stop?
    /// How and when it was cancelled, if it was.
    public internal(set) var cancelled: Cancellation?
    /// Whether somebody has halted it for now.
    public internal(set) var isPaused = false
    /// How it ended, if it has.
    public internal(set) var ending: Ending?
    /// The newest generation of its tasks.
    public internal(set) var generation = 0
    /// The oldest generation whose queue may still hold tasks.
    public internal(set) var oldestQueue = 0
    /// Which tasks were opened again for the generations from 1 on, in order.
    public internal(set) var reopenings: [Reopening] = []
    /// How many failures the error policy does not look at, because somebody has let the batch go on after them.
    public internal(set) var tolerated = 0
    /// How often it has been let go on after a halt; tells a halt that was lifted from a later one.
    public internal(set) var continuations = 0
    /// How many of its tasks may run at once, and which permits stand for that.
    public internal(set) var permits: PermitRules

    /// Whether workers may start its tasks.
    public var isRunnable: Bool { stopped == nil && cancelled == nil && !isPaused && ending == nil }

    /// The most tasks at once over all workers, or nil for no limit.
    public var maxRunning: Int? { permits.limit }
    /// The generations whose queues may hold tasks.
    public var generations: ClosedRange<Int> { oldestQueue...generation }

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
    }

    /// Where the batch stands; `hasStarted` comes from its results, which the journal does not know.
    public func status(hasStarted: Bool) -> BatchStatus {
        if cancelled != nil { return .cancelled }
        if stopped != nil { return .failed }
        if ending != nil { return .completed }
        if isPaused { return .paused }
        return hasStarted ? .processing : .pending
    }

    mutating func apply(_ entry: JournalEntry) {
        if case .retried(let generation, let nonce, let count, let tolerated) = entry.event {
            reopen(Reopening(generation: generation, nonce: nonce, count: count), tolerated: tolerated)
        }
        guard ending == nil else { return }  // the first ending stands; a cancel that comes after it is too late
        switch entry.event {
        case .created, .deleted, .retried: break  // the first creation stands; the others are seen to elsewhere
        case .published(let count, let digest):
            if count >= published { (published, publishedDigest) = (count, digest ?? publishedDigest(at: count)) }
        case .sealed(let total): sealedTotal = sealedTotal ?? total
        case .stopped(let reason): if stopped == nil, cancelled == nil { stopped = Stop(reason: reason, at: entry.at) }
        case .cancelled(let now):
            if cancelled == nil {
                cancelled = Cancellation(now: now, at: entry.at)
            } else if now {
                cancelled?.now = true
            }
        case .paused: isPaused = true
        case .resumed(let tolerated):
            isPaused = false
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

    /// The next generation begins; one that was prepared for another state of the batch than this changes nothing.
    private mutating func reopen(_ reopening: Reopening, tolerated: Int) {
        guard reopening.generation == generation + 1, cancelled == nil, sealedTotal != nil else { return }
        generation = reopening.generation
        reopenings.append(reopening)
        // The queues of a batch that had ended are deleted, or will be.
        if ending != nil { oldestQueue = generation }
        ending = nil
        go(tolerating: tolerated)
    }

    /// A creator that goes on where another ended keeps no digest; that of the same place still holds.
    private func publishedDigest(at count: Int) -> String? { count == published ? publishedDigest : nil }

    private mutating func go(tolerating failures: Int) {
        stopped = nil
        tolerated = failures
        continuations += 1
    }
}
