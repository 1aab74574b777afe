import SheafBatches
import SheafCore
import SheafFlows

/// How one limit stands: at which rate, and until when it is paused.
struct RateLimitState: Sendable, Equatable {
    /// How many calls may begin in a time; nil means any number.
    private(set) var rate: RateLimit?
    /// Names the queues of its tokens; nil where nobody has ever set the limit.
    private(set) var nonce: String?
    /// Who has set it last.
    private(set) var setter = ""
    private var pausedUntil: ContinuousClock.Instant?
    /// When the last pause was heard of: calls that began before belong to those it was made for.
    private var pausedAt: ContinuousClock.Instant?
    /// How often on end the service wanted to be left alone.
    private var level = 0

    /// Pauses where the service does not say how long.
    private static let (firstPause, longestPause) = (Duration.milliseconds(500), Duration.seconds(60))
    /// A shorter wish is none: it would be asked again at once.
    private static let shortestPause = Duration.milliseconds(100)

    /// Until when it is paused, or nil where it is not.
    func pause(_ now: ContinuousClock.Instant = .now) -> ContinuousClock.Instant? {
        pausedUntil.flatMap { $0 > now ? $0 : nil }
    }

    /// Applies an entry of the log that was written so long ago.
    mutating func apply(_ entry: RateLimitEntry, age: Duration, now: ContinuousClock.Instant) {
        switch entry.event {
        case .set(let rate, let nonce):
            self.rate = rate
            self.nonce = nonce
            setter = entry.worker
        case .throttled(let delay, let level, _):
            self.level = level
            guard delay > age else { return }
            extend(until: now + delay - age, now)
        }
    }

    /// Notes that a call which began then was told to wait; returns what others have to know of it, if anything.
    mutating func throttled(
        _ throttle: FlowThrottle,
        begun start: ContinuousClock.Instant,
        now: ContinuousClock.Instant = .now
    ) -> RateLimitEntry.Event? {
        let isOfThisPause = pausedAt.map { start <= $0 } ?? false
        var delay = throttle.delay.map { min($0, RateLimitEntry.longestDelay) }
        if !isOfThisPause { level = min(level + 1, 32) }
        if delay ?? .zero < Self.shortestPause {
            if isOfThisPause { return nil }
            delay = min(Self.firstPause * (1 << min(level - 1, 10)), Self.longestPause)
        }
        guard let delay, pausedUntil.map({ now + delay > $0 + Self.shortestPause }) ?? true else { return nil }
        extend(until: now + delay, now)
        return .throttled(delay: delay, level: level, reason: throttle.message)
    }

    /// Notes that a call which began then was answered.
    mutating func answered(begun start: ContinuousClock.Instant) {
        if let pausedAt, start > pausedAt { level = 0 }
    }

    private mutating func extend(until moment: ContinuousClock.Instant, _ now: ContinuousClock.Instant) {
        pausedUntil = max(pausedUntil ?? moment, moment)
        pausedAt = now
    }
}
