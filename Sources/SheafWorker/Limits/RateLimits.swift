import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows
import Synchronization

/// The rate limits that workers share, as this process knows them: read at first, then followed.
final class RateLimits: Sendable {
    private struct State {
        var limits: [RateLimitKey: RateLimitState] = [:]
        var nextOffset: Int64 = 0
    }

    private let client: SheafClient
    private let worker: String
    private let timing: WorkerTiming
    private let state = Mutex(State())
    /// Whether no limit was ever set or paused, as for most workers.
    private let isBlank = Atomic(true)
    private let changed = Changes()

    init(client: SheafClient, worker: String, timing: WorkerTiming) {
        self.client = client
        self.worker = worker
        self.timing = timing
    }

    /// What is known of a limit.
    subscript(_ key: RateLimitKey) -> RateLimitState { state.withLock { $0.limits[key] ?? RateLimitState() } }

    /// Whether calls of a limit have to wait now.
    func isPaused(_ key: RateLimitKey) -> Bool {
        !isBlank.load(ordering: .sequentiallyConsistent) && self[key].pause() != nil
    }

    /// A stream with an element at first and after each change.
    func changes() -> AsyncStream<Void> { changed.stream() }

    /// Makes all listeners look again.
    func nudge() { changed.notify() }

    /// Reads the log to its end; of a pause, what is left by the clock of the worker that wrote it counts.
    func catchUp() async throws {
        let offset = state.withLock { $0.nextOffset }
        try await retrying(for: .seconds(15)) {
            try await client.broker.replay(client.names.limits, from: offset == 0 ? .first : .offset(offset)) { chunk in
                apply(chunk, isNew: false)
            }
        }
    }

    /// Follows the log until cancelled; a pause that is appended meanwhile begins when it is read.
    func run() async throws {
        let offset = state.withLock { $0.nextOffset }
        try await client.broker.follow(client.names.limits, from: offset == 0 ? .first : .offset(offset)) { chunk in
            apply(chunk, isNew: true)
            return true
        }
    }

    /// Appends an entry and returns when it is confirmed.
    func append(_ event: RateLimitEntry.Event, to key: RateLimitKey) async throws {
        let entry = RateLimitEntry(key: key, at: .now, worker: worker, event: event)
        try await client.broker.append(entry.message, to: client.names.limits)
    }

    /// Pauses a limit here at once, and for other workers as soon as they read of it, because a call was told to wait.
    ///
    /// Only the first of several calls that were under way together makes the next pause longer than this one.
    ///
    /// - Parameters:
    ///   - key: The limit.
    ///   - throttle: What the service answered.
    ///   - start: When the call began.
    func pause(_ key: RateLimitKey, for throttle: FlowThrottle, begun start: ContinuousClock.Instant) async throws {
        isBlank.store(false, ordering: .sequentiallyConsistent)
        let event = state.withLock {
            $0.limits[key, default: RateLimitState()].throttled(throttle, begun: start, timing: timing)
        }
        guard let event else { return }
        changed.notify()
        // Workers that cannot be told in time find out by their own calls; the task waits here in any case.
        _ = try await within(timing.lastPatience) {
            try await retrying { try await self.append(event, to: key) }
        }
    }

    /// Records that a call was answered, so that the next pause is a short one again.
    func noteAnswer(_ key: RateLimitKey, begun start: ContinuousClock.Instant) {
        if isBlank.load(ordering: .sequentiallyConsistent) { return }
        state.withLock { $0.limits[key]?.answered(begun: start) }
    }

    private func apply(_ chunk: LogChunk, isNew: Bool) {
        let (wall, now) = (Timestamp.now, ContinuousClock.now)
        if !chunk.entries.isEmpty { isBlank.store(false, ordering: .sequentiallyConsistent) }
        state.withLock { state in
            // Following and catching up may read at once; what one has applied the other leaves out.
            for entry in chunk.entries where entry.offset >= state.nextOffset {
                guard let limit = RateLimitEntry(entry.message) else { continue }
                let age = isNew ? .zero : max(.zero, wall - limit.at)
                state.limits[limit.key, default: RateLimitState()].apply(limit, age: age, now: now)
            }
            state.nextOffset = max(state.nextOffset, chunk.nextOffset)
        }
        changed.notify()
    }
}

/// The state of one rate limit: its rate, and until when it is paused.
struct RateLimitState: Sendable, Equatable {
    /// How many calls may begin in a time; nil for any number.
    private(set) var rate: RateLimit?
    /// Names the queues of its tokens; nil if the limit was never set.
    private(set) var nonce: String?
    /// The nonces that later entries replaced, in order.
    private(set) var replaced: [String] = []
    /// When its tokens may be spent: one lifetime after it was set, so that they and those spent until then do not
    /// exceed the rate together.
    private(set) var start: ContinuousClock.Instant?
    /// The worker that set it last.
    private(set) var setter = ""
    private var pausedUntil: ContinuousClock.Instant?
    /// When the last pause began here: calls that began before belong to those that caused it.
    private var pausedAt: ContinuousClock.Instant?
    /// How often in a row the service asked for a pause.
    private var level = 0

    /// Until when it is paused; nil if it is not.
    func pause(_ now: ContinuousClock.Instant = .now) -> ContinuousClock.Instant? {
        pausedUntil.flatMap { $0 > now ? $0 : nil }
    }

    /// Applies an entry of the log; `age` is how long ago it was written.
    mutating func apply(_ entry: RateLimitEntry, age: Duration, now: ContinuousClock.Instant) {
        switch entry.event {
        case .set(let rate, let nonce):
            if let old = self.nonce { replaced.append(old) }
            self.rate = rate
            self.nonce = nonce
            start = rate.map { now + $0.tokenLifetime - age }
            setter = entry.worker
        case .throttled(let delay, let level, _):
            self.level = level
            guard delay > age else { return }
            extend(until: now + delay - age, now)
        }
    }

    /// Records that a call was told to wait.
    ///
    /// - Parameters:
    ///   - throttle: What the service answered.
    ///   - start: When the call began.
    ///   - now: The time.
    ///   - timing: The lengths of pauses that the service does not give.
    /// - Returns: What other workers have to know, if anything.
    mutating func throttled(
        _ throttle: FlowThrottle,
        begun start: ContinuousClock.Instant,
        now: ContinuousClock.Instant = .now,
        timing: WorkerTiming = WorkerTiming()
    ) -> RateLimitEntry.Event? {
        let isOfThisPause = pausedAt.map { start <= $0 } ?? false
        var delay = throttle.delay.map { min($0, RateLimitEntry.longestDelay) }
        if !isOfThisPause { level = min(level + 1, 32) }
        if delay ?? .zero < timing.shortestPause {
            if isOfThisPause { return nil }
            delay = min(timing.servicePause.first * (1 << min(level - 1, 10)), timing.servicePause.longest)
        }
        guard let delay, pausedUntil.map({ now + delay > $0 + timing.shortestPause }) ?? true else { return nil }
        extend(until: now + delay, now)
        return .throttled(delay: delay, level: level, reason: throttle.message)
    }

    /// Records that a call which began at `start` was answered.
    mutating func answered(begun start: ContinuousClock.Instant) {
        if let pausedAt, start > pausedAt { level = 0 }
    }

    private mutating func extend(until end: ContinuousClock.Instant, _ now: ContinuousClock.Instant) {
        pausedUntil = max(pausedUntil ?? end, end)
        pausedAt = now
    }
}
