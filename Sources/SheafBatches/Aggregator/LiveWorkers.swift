import SheafCore

/// Which tasks the workers say they are running; a worker that falls silent is forgotten.
struct LiveWorkers: Sendable {
    private var signals: [String: (signal: Heartbeat, until: ContinuousClock.Instant)] = [:]

    mutating func apply(_ message: Message, now: ContinuousClock.Instant = .now) {
        guard let signal = Heartbeat(message) else { return }
        signals[signal.worker] = (signal, now + Heartbeat.lifetime)
    }

    /// Whether a worker holds tasks of a batch, begun or not.
    func isHeld(_ batch: Name, now: ContinuousClock.Instant = .now) -> Bool {
        signals.values.contains { signal, until in
            until > now && (signal.waiting[batch] != nil || signal.running[batch]?.isEmpty == false)
        }
    }

    /// How many tasks of a batch wait for a limit, or nil where none does.
    func limited(_ batch: Name, now: ContinuousClock.Instant = .now) -> RateLimitWait? {
        signals.values.filter { $0.until > now }.compactMap { $0.signal.limited[batch] }
            .reduce(nil) { $0?.joined(with: $1) ?? $1 }
    }

    /// How many tasks of a batch are being run.
    func running(_ batch: Name, now: ContinuousClock.Instant = .now) -> Int {
        var indices: Set<Int> = []
        for (signal, until) in signals.values where until > now {
            indices.formUnion(signal.running[batch] ?? [])
        }
        return indices.count
    }
}
