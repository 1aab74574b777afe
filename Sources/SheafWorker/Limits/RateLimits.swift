import Logging
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
        try await retrying(for: .seconds(15)) {
            try await client.broker.replay(client.names.limits, from: start) { chunk in apply(chunk, isNew: false) }
        }
    }

    /// Follows the log until cancelled.
    ///
    /// A pause that is appended meanwhile begins when it is read. One that was appended while there was no connection
    /// began when it was written, by the clock of its writer.
    func run() async throws {
        var backoff = Backoff()
        while true {
            do {
                try await catchUp()
                let reader = try await client.broker.read(client.names.limits, from: start)
                do {
                    while let chunk = try await reader.next() {
                        apply(chunk, isNew: true)
                        backoff.reset()
                    }
                    return
                } catch {
                    await reader.cancel()
                    throw error
                }
            } catch let error as BrokerError where error.isRetryable {
                try await backoff.pause()
            }
        }
    }

    private var start: LogPosition {
        let offset = state.withLock { $0.nextOffset }
        return offset == 0 ? .first : .offset(offset)
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
    /// The last nonces that later entries replaced, in order, and how often that happened.
    private(set) var replaced: [String] = []
    private(set) var replacements = 0
    private static let mostReplaced = 64
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
            if let old = self.nonce {
                replacements += 1
                replaced = (replaced + [old]).suffix(Self.mostReplaced)
            }
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

/// Holds the tasks of one rate limit back in the inbox, and admits them as fast as the limit allows.
struct RateGate: Sendable {
    private let client: SheafClient
    private let limits: RateLimits
    private let mint: TokenMint
    private let inbox: TaskInbox
    private let key: RateLimitKey
    private let wanted: RateLimit?

    /// Creates a gate for a limit with the rate that this worker's configuration wants.
    init(_ context: WorkerContext, mint: TokenMint, limit: FlowRateLimit) {
        client = context.client
        limits = context.limits
        inbox = context.inbox
        self.mint = mint
        self.key = limit.key
        self.wanted = limit.rate
    }

    /// Works until cancelled.
    func run() async throws {
        var backoff = Backoff()
        var reported: String?
        for await _ in limits.changes() {
            while true {
                try Task.checkCancellation()
                let limit = limits[key]
                if limit.rate != wanted, limit.nonce != reported {
                    reported = limit.nonce
                    client.logger.warning(
                        """
                        \(key) has \(limit.rate?.description ?? "no rate"), set by worker \(limit.setter); this worker \
                        is configured with \(wanted?.description ?? "no rate")
                        """
                    )
                }
                if let until = limit.pause() {
                    inbox.close(key)
                    try await Task.sleep(until: until, clock: .continuous)
                    continue
                }
                guard let rate = limit.rate, let nonce = limit.nonce else {
                    inbox.open(key)
                    break
                }
                inbox.close(key)
                guard await inbox.demand(of: key) else { return }
                do {
                    try await spend(nonce, rate)
                    backoff.reset()
                } catch let error as BrokerError {
                    guard error.isRetryable || error.code == .notFound || error.code == .queueGone else { throw error }
                    client.logger.debug("cannot take tokens of \(key): \(error)")
                    try await backoff.pause()
                    if error.isRetryable { continue }
                    // A worker that changes the rate deletes the old tokens once the log names the new ones.
                    try await limits.catchUp()
                    guard limits[key].nonce == nonce else { continue }
                    client.logger.warning("the tokens of \(key) are gone; the worker mints new ones")
                    try await retrying { try await mint.renew(key, after: nonce) }
                }
            }
        }
    }

    /// Takes tokens and admits a task for each, until there is no task, or the limit has changed or is paused.
    private func spend(_ nonce: String, _ rate: RateLimit) async throws {
        let consumer = try await client.broker.consume(
            client.names.tokens(key, nonce: nonce),
            prefetch: min(max(1, rate.burst / 8), 50)
        )
        var unused: [Delivery] = []
        let result: Result<Void, any Error>
        do {
            try await spend(from: consumer, nonce, &unused)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        // The consumer ends first: otherwise the returned tokens would come straight back to it.
        let (broker, rest) = (client.broker, unused)
        try await withoutCancellation {
            let late = try await consumer.cancel()
            try await broker.settle(rest + late, as: .returned)
        }
        try result.get()
    }

    private func spend(from consumer: any QueueConsumer, _ nonce: String, _ unused: inout [Delivery]) async throws {
        while let tokens = try await consumer.next() {
            if let start = limits[key].start, start > .now {
                unused = tokens
                try await Task.sleep(until: start, clock: .continuous)
                unused = []
            }
            for (position, token) in tokens.enumerated() {
                let limit = limits[key]
                guard limit.nonce == nonce, limit.pause() == nil, inbox.hasDemand(of: key) else {
                    unused = Array(tokens[position...])
                    return
                }
                // Spent before the call. If the task is taken away meanwhile, the token is wasted.
                try await client.broker.settle(token, as: .rejected)
                inbox.admit(key)
            }
        }
    }
}

/// Mints the tokens that keep rates.
///
/// A fixed number of tokens in a queue keeps a rate. A worker takes a token before each call and rejects it. The
/// broker dead-letters it to a second queue, from which it returns when its lifetime has passed. So the broker keeps
/// the rate: if a worker is killed while it holds a token, the token returns, spent or not, and no particular worker
/// has to be alive.
struct TokenMint: Sendable {
    private let client: SheafClient
    private let limits: RateLimits

    init(client: SheafClient, limits: RateLimits) {
        self.client = client
        self.limits = limits
    }

    /// Sets the rate of a limit from now on; the worker that starts last decides.
    func establish(_ limit: FlowRateLimit) async throws {
        try await replace(limit.key, by: limit.rate) { $0.rate != limit.rate }
    }

    /// Mints the tokens of a limit again if its queues are gone.
    func renew(_ key: RateLimitKey, after nonce: String) async throws {
        try await replace(key, by: limits[key].rate) { $0.nonce == nonce }
    }

    /// Replaces the tokens; they count once the log names their queues, so an interrupted minting has no effect.
    ///
    /// Workers may do so at the same time, and the last entry counts for all. Each of them deletes the tokens of all
    /// entries since it looked, except the last, and so every entry that another one follows is covered.
    private func replace(_ key: RateLimitKey, by rate: RateLimit?, if isOld: (RateLimitState) -> Bool) async throws {
        let old = limits[key]
        guard isOld(old) else { return }
        let nonce = String(UInt64.random(in: .min ... .max), radix: 36)
        if let rate { try await mint(rate, of: key, nonce) }
        // Of the workers that start at the same time, most learn here that another one was faster.
        try await limits.catchUp()
        guard isOld(limits[key]) else { return try await delete([nonce], of: key) }
        try await retrying { try await limits.append(.set(rate: rate, nonce: nonce), to: key) }
        try await limits.catchUp()
        let new = limits[key]
        if new.nonce == nonce { client.logger.info("\(key) has \(rate?.description ?? "no rate") from now on") }
        try await delete(new.replaced.suffix(new.replacements - old.replacements).filter { $0 != new.nonce }, of: key)
    }

    private func delete(_ nonces: [String], of key: RateLimitKey) async throws {
        let (broker, names) = (client.broker, client.names)
        for nonce in nonces {
            try await retrying { try await broker.deleteQueue(names.tokens(key, nonce: nonce)) }
            try await retrying { try await broker.deleteQueue(names.spentTokens(key, nonce: nonce)) }
        }
    }

    /// The tokens begin as spent ones, so that changing a rate, however often, allows no additional calls.
    private func mint(_ rate: RateLimit, of key: RateLimitKey, _ nonce: String) async throws {
        let (broker, names) = (client.broker, client.names)
        let (tokens, spent) = (names.tokens(key, nonce: nonce), names.spentTokens(key, nonce: nonce))
        let queue = QueueDeclaration(name: tokens, kind: .tokens(deadLetter: .queue(spent)))
        let room = QueueDeclaration(name: spent, kind: .waitingRoom(lifetime: rate.tokenLifetime, then: tokens))
        try await broker.declareQueue(queue)
        try await broker.declareQueue(room)
        // Not retried: what was confirmed in part, repeated under the same name, would be more than the rate.
        try await broker.publish(
            (0..<rate.burst).map { Message(id: String($0), type: Self.tokenType) },
            to: spent
        )
    }

    /// The type of messages that are tokens.
    static let tokenType = "token"
}
