package import SheafCore

/// A worker as its heartbeats describe it.
package struct LiveWorker: Sendable, Equatable {
    /// The worker's name.
    package var name: String
    /// The machine; nil if neither the heartbeat nor the name tells it.
    package var host: String?
    /// How many tasks it runs at once; nil if an older worker does not report it.
    package var slots: Int?
    /// The flows that it can run; empty if an older worker does not report them.
    package var flows: [Name]
    /// Since when this process knows the worker.
    package var since: Timestamp
    /// When its newest heartbeat was read.
    package var seenAt: Timestamp
    /// The indices of the tasks that it runs in no bulk, by batch, each with the time from which on this process knows of it.
    package var running: [Name: [Int: Timestamp]] = [:]
    /// The number of tasks that it runs in each bulk, by batch and by the id of the bulk.
    package var bulks: [Name: [String: Int]] = [:]
    /// The number of tasks that it holds and has not started, by batch.
    package var waiting: [Name: Int] = [:]
    /// The tasks that wait for a rate limit, by batch.
    package var limited: [Name: RateLimitWait] = [:]

    /// The number of its slots that are occupied: a bulk occupies one.
    package var busy: Int { bulks.values.reduce(running.values.reduce(0) { $0 + $1.count }) { $0 + $1.count } }
    /// The batches that it holds tasks of.
    package var batches: [Name] { Set(running.keys).union(bulks.keys).union(waiting.keys).sorted() }

    /// The number of tasks of a batch that it runs.
    package func runningCount(of batch: Name) -> Int {
        (bulks[batch] ?? [:]).values.reduce(running[batch]?.count ?? 0, +)
    }
}

/// The workers that are known to live, idle ones included.
struct WorkerRoster: Sendable {
    private var workers: [String: (worker: LiveWorker, until: ContinuousClock.Instant)] = [:]

    /// The workers by name.
    var live: [LiveWorker] {
        let now = ContinuousClock.now
        return workers.values.filter { $0.until > now }.map(\.worker).sorted { $0.name < $1.name }
    }

    mutating func apply(_ heartbeat: Heartbeat, now: ContinuousClock.Instant = .now, at time: Timestamp = .now) {
        if heartbeat.hasLeft {
            workers[heartbeat.worker] = nil
            return
        }
        var worker =
            workers[heartbeat.worker].flatMap { $0.until > now ? $0.worker : nil }
            ?? LiveWorker(name: heartbeat.worker, flows: [], since: time, seenAt: time)
        worker.seenAt = time
        worker.host = heartbeat.host
        worker.slots = heartbeat.slots
        worker.flows = heartbeat.flows
        let before = worker.running
        worker.running = [:]
        for (batch, indices) in heartbeat.running where !indices.isEmpty {
            let known = before[batch] ?? [:]
            worker.running[batch] = Dictionary(indices.map { ($0, known[$0] ?? time) }) { $1 }
        }
        (worker.bulks, worker.waiting, worker.limited) = (heartbeat.bulks, heartbeat.waiting, heartbeat.limited)
        let isIdle = !heartbeat.isRunning && worker.waiting.isEmpty
        workers[heartbeat.worker] = (worker, now + (isIdle ? Heartbeat.idleLifetime : Heartbeat.lifetime))
    }

    /// Drops workers that are no longer live.
    mutating func prune(now: ContinuousClock.Instant = .now) { workers = workers.filter { $0.value.until > now } }
}
