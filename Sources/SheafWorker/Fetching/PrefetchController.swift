/// Decides how many tasks a worker fetches ahead of its slots, from how many have ended: pure arithmetic.
struct PrefetchController: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// How many tasks had ended at a time.
    private struct Count {
        var ended: Int
        var at: Instant
    }

    /// What a look at the ended tasks calls for.
    enum Look: Sendable, Equatable {
        /// Nothing yet.
        case none
        /// Review the consumers: the rate rose so much that it is worth fetching further ahead.
        case raised
        /// Review the consumers: a regular interval has passed.
        case regular
    }

    /// What to do with the consumers of a queue.
    enum Change: Sendable, Equatable {
        /// Nothing.
        case none
        /// Add a consumer with this prefetch: ending one makes the broker take back what is on its way to it.
        case raise(by: Int)
        /// End consumers that bring too much, and return what others can begin sooner, but keep this prefetch.
        case share(keeping: Int)
        /// Replace the consumers by one with this prefetch, and run what has come: the limit of tasks is near.
        case lower(to: Int)
    }

    /// The rate that the first early look may double, in tasks a second.
    private static let firstRate = 300.0
    /// How many times what it should be a prefetch may not become.
    static let excess = 4
    /// The most that is fetched ahead of the slots.
    static let maximumLead = 4_000

    private let slots: Int
    private let timing: WorkerTiming
    /// How many tasks end in a second: more at once, less by half at a time.
    private(set) var rate: Double
    private var last: Count
    private var lastLook: Count
    private var lastEnd: Count
    private var waits = 0

    init(slots: Int, rate: Double = 0, now: Instant = .now, timing: WorkerTiming = WorkerTiming()) {
        self.slots = slots
        self.rate = rate
        self.timing = timing
        last = Count(ended: 0, at: now)
        (lastLook, lastEnd) = (last, last)
    }

    // MARK: Measuring

    /// Returns when to look next: earlier than usual if slots wait although tasks end, since too few may be fetched
    /// ahead.
    ///
    /// - Parameters:
    ///   - isAwaited: Whether a slot waits for a task now.
    ///   - waits: How often a slot has waited so far.
    ///   - isConsuming: Whether there are consumers.
    ///   - now: The time.
    mutating func nextLook(isAwaited: Bool, waits: Int, isConsuming: Bool, now: Instant) -> Instant {
        let isStarved = isAwaited || waits > self.waits
        self.waits = waits
        let next = last.at + timing.fetchInterval
        guard isStarved, isConsuming, now - lastEnd.at < timing.hungryTime else { return next }
        return min(next, now + timing.earlyLook)
    }

    /// Takes over how many tasks have ended so far.
    mutating func look(ended: Int, now: Instant) -> Look {
        let count = Count(ended: ended, at: now)
        if ended > lastEnd.ended { lastEnd = count }
        if now >= last.at + timing.fetchInterval {
            note(ended: ended - last.ended, in: now - last.at)
            (last, lastLook) = (count, count)
            return .regular
        }
        guard areEnough(ended - lastLook.ended) else { return .none }
        let isWorth = noteEarly(ended: ended - lastLook.ended, in: now - lastLook.at)
        lastLook = count
        return isWorth ? .raised : .none
    }

    /// Takes over how many tasks ended in a time.
    mutating func note(ended count: Int, in time: Duration) {
        let now = Double(count) / (time / .seconds(1))
        rate = now > rate ? now : (rate + now) / 2
    }

    /// Whether enough tasks have ended that an early look may count them.
    ///
    /// Each slot must have ended several: of long tasks that end together there would seem to be many.
    func areEnough(_ count: Int) -> Bool { count >= max(16, 4 * slots) }

    /// Takes over how many tasks, enough of them, ended in a time that may be short.
    ///
    /// Each time the rate at most doubles, so that little more is fetched than what keeps slots from waiting: tasks
    /// often end many at a time, and consumers that bring too much have to be ended.
    ///
    /// - Returns: Whether it is worth fetching further ahead.
    mutating func noteEarly(ended count: Int, in time: Duration) -> Bool {
        let before = lead
        rate = max(rate, min(Double(count) / (time / .seconds(1)), 2 * max(rate, Self.firstRate)))
        return isWorthRaising(from: slots + before, to: slots + lead)
    }

    // MARK: Deciding

    /// Tasks to hold beyond the slots: none if tasks are slow, so that none is hoarded while another worker idles.
    var lead: Int {
        let wanted = Int(rate * leadTime)
        return wanted > slots / 2 ? min(Self.maximumLead, wanted) : 0
    }

    /// How much time the tasks fetched ahead are to last, in seconds: 0.05 up to 1,000 tasks a second, 0.2 from 4,000
    /// on.
    ///
    /// If there are many, outcomes and acknowledgements are gathered, which takes most of the shorter time; and what
    /// is hoarded is gone quickly.
    private var leadTime: Double { max(0.05, min(0.2, rate * 0.05 / 1_000)) }

    /// The most queues to consume from at a time; if there are more, idle ones make room.
    var maximumQueues: Int { min(8, slots) }

    /// The prefetch of a queue: those that bring tasks share the slots, the others get one each.
    func prefetch(isBusy: Bool, busyCount: Int) -> Int {
        guard isBusy else { return 1 }
        let budget = slots + lead
        return max(1, (budget + busyCount - 1) / max(1, busyCount))
    }

    /// Decides what to do with the consumers of a queue.
    ///
    /// - Parameters:
    ///   - current: The prefetch of its consumers together; 0 without any.
    ///   - isBusy: Whether it brings tasks.
    ///   - busyCount: How many queues do.
    ///   - budget: How many tasks may still be taken.
    ///   - least: How many tasks are wanted for a bulk.
    func change(from current: Int, isBusy: Bool, busyCount: Int, budget: TaskBudget, least: Int = 0) -> Change {
        let wanted = max(least, prefetch(isBusy: isBusy, busyCount: busyCount))
        let allowed = budget.prefetch(wanted, busyCount: busyCount)
        if isWorthRaising(from: current, to: allowed) { return .raise(by: allowed - current) }
        if isWorthLowering(from: current, to: wanted) { return .share(keeping: wanted) }
        if isWorthLowering(from: current, to: allowed) { return .lower(to: allowed) }
        return .none
    }

    /// Whether a prefetch is so far below what it should be that another consumer is worth it.
    func isWorthRaising(from old: Int, to new: Int) -> Bool {
        old == 0 || new >= old * 2 || new - old >= Self.maximumLead / 4 || (old < slots && new >= slots)
    }

    /// Whether a prefetch is so far above what it should be that ending consumers is worth it.
    func isWorthLowering(from old: Int, to new: Int) -> Bool { old >= Self.excess * new }

    /// Whether what was fetched ahead should be shared with other workers, as far as this worker knows.
    ///
    /// - Parameters:
    ///   - held: How many deliveries of the queue are held.
    ///   - claimed: How many deliveries all consumers may hold or bring.
    ///   - isStalled: Whether outcomes cannot be written, so that nothing can be known about the speed of tasks.
    func mayShare(held: Int, claimed: Int, isStalled: Bool) -> Bool {
        held == 0 || (lastsLong(claimed) && !isStalled)
    }

    /// Whether that many deliveries keep the slots busy for more than a second, so that other workers should have
    /// some of them.
    func lastsLong(_ count: Int) -> Bool { Double(count) > rate }
}

/// How many tasks a worker may still take before its limit, `-n`, and how many its consumers may still bring.
///
/// A consumer may be sent as many messages as its prefetch allows, and every settlement lets the broker send one
/// more. What comes too much would have to go back, which counts towards the delivery limit; so nothing is fetched
/// that may have to.
struct TaskBudget: Sendable {
    private let slots: Int
    /// How many more tasks may be taken; nil without a limit.
    private(set) var remaining: Int?
    /// The sum of the prefetches of all consumers: how many deliveries they may hold or still bring.
    private(set) var claimed = 0
    private var isNearLimit = false

    init(limit: Int?, slots: Int) {
        self.remaining = limit
        self.slots = slots
    }

    /// Whether no more tasks may be taken.
    var isSpent: Bool { remaining.map { $0 <= 0 } ?? false }

    /// Whether so few tasks are left that they are taken one by one.
    var takesOneByOne: Bool { isNearLimit || remaining.map { $0 <= 3 * slots } ?? false }

    /// Whether a single task may be taken: what the consumers may still bring has the first claim on what is left.
    var allowsPull: Bool { remaining.map { $0 > claimed } ?? true }

    /// Records tasks that were taken.
    mutating func take(_ count: Int) { remaining? -= count }

    /// Records tasks that go back, or that the broker has taken back, before they began.
    mutating func putBack(_ count: Int) { remaining? += count }

    /// Records a new consumer.
    mutating func claim(_ prefetch: Int) { claimed += prefetch }

    /// Records that a consumer has ended and brings nothing more.
    mutating func unclaim(_ prefetch: Int) { claimed -= prefetch }

    /// The prefetch for one of some busy queues: at most a quarter of what is left.
    func prefetch(_ wanted: Int, busyCount: Int) -> Int {
        remaining.map { min(wanted, max(1, $0 / 4 / max(1, busyCount))) } ?? wanted
    }

    /// Decides whether the consumers have to end before some deliveries are settled.
    ///
    /// - Parameters:
    ///   - count: How many deliveries are about to be settled.
    ///   - consumed: The sum of the prefetches of the running consumers; 0 if there are none.
    /// - Returns: Whether those settlements could bring more tasks than may be taken.
    mutating func mustEndConsumers(settling count: Int, consumed: Int) -> Bool {
        guard let remaining, consumed > 0, remaining < consumed + count else { return false }
        isNearLimit = true
        return true
    }
}
