import BitCollections

/// What is known of a batch's tasks: the pure fold of its results and of what the journal says about its size.
///
/// Applying an event again changes nothing, and events that do not conflict give the same state in any order. Two different
/// outcomes of one task conflict; a reader applies a log in its order, and the first one stands. Counts are derived from the
/// sets, never kept. Two bits a task, and an entry for each task that was opened again.
public struct BatchState: Sendable, Equatable {
    /// The most tasks a batch may have; bounds what a foreign message can make anybody allocate.
    public static let maximumTasks = 100_000_000

    /// How many tasks are known to be in the queue; a lower bound of the total until it is sealed.
    public internal(set) var published = 0
    /// The total, once the creator has said it.
    public internal(set) var sealedTotal: Int?
    /// When the first task was started.
    public internal(set) var startedAt: Timestamp?
    /// What the tasks took whose success counted, all together; a task that was opened again may have had several.
    public internal(set) var usage = Usage()

    // A task is open (neither), succeeded (low), failed (high), or failed for an unreadable record (both).
    var low = BitSet()
    var high = BitSet()
    /// The generation of each index that was opened again.
    var generations: [Int: Int] = [:]
    /// Outcomes of a generation that this reader has not seen opened yet.
    var early: [Int: OutcomeSummary] = [:]
    /// Which tasks are to be opened again for a generation, by the nonce of the retry that has said so.
    var reopened: [Int: [String: BitSet]] = [:]
    /// The nonces that count, by generation.
    var committed: [Int: String] = [:]
    /// The leases of tasks without outcome, by the task's number.
    public internal(set) var leases: [Int: TaskLease] = [:]

    /// Makes the state of a batch of which nothing is known.
    public init() {}

    /// Notes that so many tasks are in the queue.
    public mutating func applyPublished(_ count: Int) {
        if sealedTotal == nil { published = max(published, min(count, Self.maximumTasks)) }
    }

    /// Notes the total; the first one said stands, and outcomes beyond it never count.
    public mutating func applySealed(total: Int) {
        guard sealedTotal == nil else { return }
        sealedTotal = total
        published = total
        let known = BitSet(0..<max(0, total))
        low.formIntersection(known)
        high.formIntersection(known)
        early = early.filter { $0.key < total }
        generations = generations.filter { $0.key < total }
    }

    /// Notes that a worker has begun with the batch.
    public mutating func applyStarted(at moment: Timestamp) {
        startedAt = min(startedAt ?? moment, moment)
    }

    /// Counts an outcome, if its task is open for that generation.
    ///
    /// A task ended by a cancel stays open: what a cancelled batch has not settled is cancelled as a whole. Returns whether
    /// this is the outcome that stands for its task.
    @discardableResult
    public mutating func apply(_ outcome: OutcomeSummary) -> Bool {
        guard (0..<(sealedTotal ?? Self.maximumTasks)).contains(outcome.index), outcome.status != .cancelled else {
            return false
        }
        let generation = generations[outcome.index] ?? 0
        if outcome.generation > generation {
            if outcome.generation > early[outcome.index]?.generation ?? 0 { early[outcome.index] = outcome }
            return false
        }
        guard outcome.generation == generation, !isSettled(outcome.index) else { return false }
        if outcome.status == .succeeded || outcome.isInvalidRecord { low.insert(outcome.index) }
        if outcome.status == .failed { high.insert(outcome.index) }
        if outcome.status == .succeeded { usage += outcome.usage }
        endLease(of: outcome.index, before: outcome.generation + 1)
        return true
    }

    /// The generation for which an index is open, or was settled.
    public func generation(of index: Int) -> Int { generations[index] ?? 0 }

    private mutating func endLease(of index: Int, before generation: Int) {
        if let lease = leases[index], lease.generation < generation { leases[index] = nil }
    }

    mutating func reopen(_ indices: some Sequence<Int>, generation: Int) {
        for index in indices where generation > generations[index] ?? 0 && index < sealedTotal ?? Self.maximumTasks {
            generations[index] = generation
            endLease(of: index, before: generation)
            low.remove(index)
            high.remove(index)
            if let outcome = early[index], outcome.generation <= generation {
                early[index] = nil
                apply(outcome)
            }
        }
    }

    /// Tells whether the task of that index has an outcome.
    public func isSettled(_ index: Int) -> Bool {
        low.contains(index) || high.contains(index)
    }

    /// How the tasks ended that did.
    public var settled: Settled {
        let both = low.intersection(high).count
        return Settled(succeeded: low.count - both, failed: high.count, invalid: both)
    }

    /// How many tasks ended in which way.
    public struct Settled: Sendable, Equatable {
        /// Those with an output.
        public var succeeded: Int
        /// Those that failed, unreadable records among them.
        public var failed: Int
        /// Those whose record could not be read.
        public var invalid: Int

        /// Makes counts.
        public init(succeeded: Int = 0, failed: Int = 0, invalid: Int = 0) {
            self.succeeded = succeeded
            self.failed = failed
            self.invalid = invalid
        }

        /// All that ended.
        public var count: Int { succeeded + failed }
        /// The failures that the error policy looks at.
        public var policyFailures: Int { failed - invalid }
    }
}
