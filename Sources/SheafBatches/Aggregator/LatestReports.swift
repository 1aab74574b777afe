import SheafBroker
import SheafCore

/// The newest progress of each batch, as the aggregators reported it.
struct LatestProgress: Sendable {
    private(set) var batches: [Name: BatchProgress] = [:]
    /// How far batches were copied to the topic of outcomes, and when that was reported.
    private(set) var copied: (positions: [Name: CopyPosition], at: Timestamp)?

    init() {}

    /// Reads the newest report, which names the offsets of the checkpoints.
    init(_ client: SheafClient) async throws {
        var latest = LatestProgress()
        try await client.broker.replay(client.names.progress, from: .last) { latest.apply($0) }
        self = latest
    }

    mutating func apply(_ chunk: LogChunk) {
        guard let newest = chunk.entries.reversed().lazy.compactMap({ ProgressMessage($0.message) }).first else {
            return
        }
        copied = (newest.copied, newest.at)
        for progress in newest.batches { batches[progress.batch] = progress }
    }

    /// Drops the progress of batches for which the condition is false.
    mutating func keep(where isKept: (Name) -> Bool) { batches = batches.filter { isKept($0.key) } }

    func covers(_ wanted: Set<Name>) -> Bool { wanted.allSatisfy { batches[$0] != nil } }
}

/// The tasks that the live workers report to run; a worker without a heartbeat for three seconds is left out.
struct LiveWorkers: Sendable {
    private var heartbeats: [String: (heartbeat: Heartbeat, until: ContinuousClock.Instant)] = [:]

    mutating func apply(_ message: Message, now: ContinuousClock.Instant = .now) {
        if let heartbeat = Heartbeat(message) { apply(heartbeat, now: now) }
    }

    mutating func apply(_ heartbeat: Heartbeat, now: ContinuousClock.Instant = .now) {
        heartbeats[heartbeat.worker] = (heartbeat, now + Heartbeat.lifetime)
    }

    /// Drops workers that are no longer live.
    mutating func prune(now: ContinuousClock.Instant = .now) { heartbeats = heartbeats.filter { $0.value.until > now } }

    /// Whether a worker holds tasks of a batch, begun or not.
    func isHeld(_ batch: Name, now: ContinuousClock.Instant = .now) -> Bool {
        heartbeats.values.contains { heartbeat, until in
            until > now
                && (heartbeat.waiting[batch] != nil || heartbeat.running[batch]?.isEmpty == false
                    || heartbeat.bulks[batch] != nil)
        }
    }

    /// How many tasks of a batch wait for a rate limit, or nil if none does.
    func limited(_ batch: Name, now: ContinuousClock.Instant = .now) -> RateLimitWait? {
        heartbeats.values.filter { $0.until > now }.compactMap { $0.heartbeat.limited[batch] }
            .reduce(nil) { $0?.joined(with: $1) ?? $1 }
    }

    /// How many tasks of a batch are being run.
    func running(_ batch: Name, now: ContinuousClock.Instant = .now) -> Int {
        // Two workers name the same bulk while it changes hands.
        var bulks: [String: Int] = [:]
        for (heartbeat, until) in heartbeats.values where until > now {
            bulks.merge(heartbeat.bulks[batch] ?? [:]) { max($0, $1) }
        }
        return bulks.values.reduce(indices(of: batch, now: now).count, +)
    }

    /// Which tasks of a batch are being run, without those in bulks, which are leased.
    func indices(of batch: Name, now: ContinuousClock.Instant = .now) -> Set<Int> {
        var indices: Set<Int> = []
        for (heartbeat, until) in heartbeats.values where until > now {
            indices.formUnion(heartbeat.running[batch] ?? [])
        }
        return indices
    }
}
