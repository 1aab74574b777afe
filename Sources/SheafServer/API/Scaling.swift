import OrderedCollections
import SheafCore

/// How much work there is for the workers of a flow.
struct FlowLoad: Equatable {
    /// Tasks that a worker could start now: neither paused, stopped, delayed, lost nor beyond the limit of their batch.
    var waiting = 0
    /// Tasks that live workers run.
    var running = 0
    /// Tasks that wait for their next attempt.
    var delayed = 0
    /// Tasks that are kept in a results log.
    ///
    /// They are counted as running too, or as waiting if their worker is lost.
    var leased = 0
    /// How many tasks need a worker now or soon.
    var desired = 0
    /// When the oldest batch with waiting tasks was created.
    private var oldest: Timestamp?

    /// How soon a delayed task must be due to count as ``desired``: a new worker needs about that long to start.
    private static let soon = Duration.seconds(30)

    /// Adds the tasks of a batch that has not ended.
    mutating func add(_ batch: BatchSummary, at now: Timestamp) {
        running += batch.counts.running
        leased += batch.leased
        desired += batch.counts.running
        guard batch.info.isRunnable else { return }
        let later = batch.delayed.filter { $0.at > now }
        let pending = max(0, batch.openPending - batch.missing)
        let put = min(pending, later.reduce(0) { $0 + $1.count })
        let room = batch.info.maxRunning.map { max(0, $0 - batch.counts.running) } ?? .max
        let free = min(pending - put, room)
        let due = later.filter { $0.at <= now + Self.soon }.reduce(0) { $0 + $1.count }
        delayed += put
        waiting += free
        desired += free + min(due, put, room - free)
        if free > 0 { oldest = min(oldest ?? batch.info.createdAt, batch.info.createdAt) }
    }

    /// The load as the API returns it.
    func json(at now: Timestamp) -> JSONValue {
        let age = oldest.map { max(0, now.milliseconds - $0.milliseconds) } ?? 0
        return [
            "waiting": .integer(waiting), "running": .integer(running), "delayed": .integer(delayed),
            "leased": .integer(leased), "desired": .integer(desired),
            "oldest_seconds": .number("\(Double(age) / 1000)"),
        ]
    }

    /// Returns what a scaler reads: the load of each flow, 0 for one without batches, and how many tasks need a worker.
    static func json(of flows: [String], in batches: [BatchSummary], at now: Timestamp) -> JSONValue {
        var loads = OrderedDictionary(flows.map { ($0, FlowLoad()) }) { first, _ in first }
        for batch in batches where batch.info.ending == nil { loads[batch.info.flow.text]?.add(batch, at: now) }
        return [
            "flows": .object(loads.mapValues { $0.json(at: now) }),
            "desired": .integer(loads.values.reduce(0) { $0 + $1.desired }),
        ]
    }
}
