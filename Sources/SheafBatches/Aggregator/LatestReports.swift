import SheafBroker
import SheafCore

/// The newest progress of each batch, as the aggregators reported it.
struct LatestProgress: Sendable {
    private(set) var batches: [Name: BatchProgress] = [:]

    mutating func apply(_ chunk: LogChunk) {
        guard let newest = chunk.entries.reversed().lazy.compactMap({ ProgressMessage($0.message) }).first else {
            return
        }
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
        guard let heartbeat = Heartbeat(message) else { return }
        heartbeats[heartbeat.worker] = (heartbeat, now + Heartbeat.lifetime)
    }

    /// Drops workers that are no longer live.
    mutating func prune(now: ContinuousClock.Instant = .now) { heartbeats = heartbeats.filter { $0.value.until > now } }

    /// Whether a worker holds tasks of a batch, begun or not.
    func isHeld(_ batch: Name, now: ContinuousClock.Instant = .now) -> Bool {
        heartbeats.values.contains { heartbeat, until in
            until > now && (heartbeat.waiting[batch] != nil || heartbeat.running[batch]?.isEmpty == false)
        }
    }

    /// How many tasks of a batch wait for a rate limit, or nil if none does.
    func limited(_ batch: Name, now: ContinuousClock.Instant = .now) -> RateLimitWait? {
        heartbeats.values.filter { $0.until > now }.compactMap { $0.heartbeat.limited[batch] }
            .reduce(nil) { $0?.joined(with: $1) ?? $1 }
    }

    /// How many tasks of a batch are being run.
    func running(_ batch: Name, now: ContinuousClock.Instant = .now) -> Int {
        var indices: Set<Int> = []
        for (heartbeat, until) in heartbeats.values where until > now {
            indices.formUnion(heartbeat.running[batch] ?? [])
        }
        return indices.count
    }
}
