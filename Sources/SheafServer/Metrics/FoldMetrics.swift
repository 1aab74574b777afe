import SheafCore
import SheafTelemetry
import Synchronization

/// Turns what the fold knows about all batches into metrics, grouped by flow.
///
/// Counters start with what the batches have recorded so far, so that nothing is missed while no server runs. A batch
/// that is deleted, or whose failed tasks are retried, does not decrease them.
final class FoldMetrics: Sendable {
    /// What the counters of a flow have reached.
    private struct Totals {
        var tasks: [Outcome.Status: Int] = [:]
        var finished: [BatchStatus: Durations] = [:]
        var tokens: [TokenKind: Int] = [:]
    }

    /// The durations of batches that have ended.
    private struct Durations {
        var counts = [Int](repeating: 0, count: MetricCatalog.batchDuration.bounds.count + 1)
        var sum = 0.0

        mutating func add(_ seconds: Double) {
            let bounds = MetricCatalog.batchDuration.bounds
            counts[bounds.firstIndex { seconds <= $0 } ?? bounds.count] += 1
            sum += seconds
        }
    }

    /// What is true of a flow now.
    private struct Levels {
        var waiting = 0
        var delayed = 0
        var running = 0
        var leased = 0
        var limited = 0
        var questions = 0
        var oldest: Timestamp?
        var batches: [BatchStatus: Int] = [:]
    }

    /// What the counters contain of a batch already.
    private struct Counted {
        var counts = BatchCounts()
        var usage = Usage()
        /// The newest generation whose end is counted.
        var endedGeneration = -1
    }

    private struct State {
        var totals: [Name: Totals] = [:]
        var counted: [Name: Counted] = [:]
    }

    /// The kinds of tokens, which are names in the usage of tasks followed by `_tokens`.
    private enum TokenKind: String, CaseIterable {
        case input, output, cached
    }

    /// The most flows that have series of their own; any process that creates batches chooses their names.
    static let maximumFlows = 100
    /// The flow that stands for all others.
    static let otherFlow: Name = "other"

    private let state = Mutex(State())

    /// Writes the metrics of all batches.
    ///
    /// - Parameters:
    ///   - batches: All batches, oldest first.
    ///   - newest: How many of the newest active batches are shown one by one.
    ///   - now: The time.
    ///   - text: Where to write.
    func write(_ batches: [BatchSummary], newest: Int = 0, now: Timestamp, to text: inout PrometheusText) {
        let (levels, totals) = state.withLock { state in
            var levels: [Name: Levels] = [:]
            for batch in batches {
                let flow = Self.flow(of: batch, &state)
                Self.add(batch, now: now, to: &levels[flow, default: Levels()])
                Self.count(batch, of: flow, &state)
            }
            if state.counted.count > batches.count {
                let known = Set(batches.map(\.info.id))
                state.counted = state.counted.filter { known.contains($0.key) }
            }
            return (levels, state.totals)
        }
        Self.write(levels.sorted { $0.key < $1.key }, now: now, to: &text)
        Self.write(totals.sorted { $0.key < $1.key }, to: &text)
        Self.write(batches.filter { !$0.status.isFinal }.suffix(newest), to: &text)
    }

    private static func flow(of batch: BatchSummary, _ state: inout State) -> Name {
        let name = batch.info.flow
        if state.totals[name] != nil { return name }
        let flow = state.totals.count < maximumFlows ? name : otherFlow
        if state.totals[flow] == nil { state.totals[flow] = Totals() }
        return flow
    }

    // MARK: Reading batches

    private static func add(_ batch: BatchSummary, now: Timestamp, to levels: inout Levels) {
        levels.batches[batch.status, default: 0] += 1
        levels.running += batch.counts.running
        levels.leased += batch.leased
        levels.questions += batch.questions
        guard batch.info.isRunnable else { return }
        let delayed = min(batch.openPending, batch.delayed.filter { $0.at > now }.reduce(0) { $0 + $1.count })
        levels.delayed += delayed
        levels.waiting += batch.openPending - delayed
        levels.limited += batch.limited?.tasks ?? 0
        if batch.openPending > delayed {
            levels.oldest = min(levels.oldest ?? batch.info.createdAt, batch.info.createdAt)
        }
    }

    private static func count(_ batch: BatchSummary, of flow: Name, _ state: inout State) {
        var counted = state.counted[batch.info.id] ?? Counted()
        var totals = state.totals[flow] ?? Totals()
        let (old, new) = (counted.counts, batch.counts)
        for (status, growth) in [
            (Outcome.Status.succeeded, new.succeeded - old.succeeded), (.failed, new.failed - old.failed),
            (.cancelled, new.cancelled - old.cancelled),
        ] where growth > 0 {
            totals.tasks[status, default: 0] += growth
        }
        for kind in TokenKind.allCases {
            let growth = batch.usage["\(kind.rawValue)_tokens"] - counted.usage["\(kind.rawValue)_tokens"]
            if growth > 0 { totals.tokens[kind, default: 0] += growth }
        }
        if batch.info.ending != nil, batch.info.generation > counted.endedGeneration {
            counted.endedGeneration = batch.info.generation
            let duration = max(.zero, (batch.finishedAt ?? batch.info.createdAt) - batch.info.createdAt)
            totals.finished[batch.status, default: Durations()].add(duration / .seconds(1))
        }
        counted.counts = new
        counted.usage = batch.usage
        state.counted[batch.info.id] = counted
        state.totals[flow] = totals
    }

    // MARK: Writing

    private static func write(_ flows: [(Name, Levels)], now: Timestamp, to text: inout PrometheusText) {
        func gauge(_ metric: MetricDefinition, _ value: (Levels) -> Double) {
            text.begin(metric)
            for (flow, levels) in flows { text.sample(labels(flow), value(levels)) }
        }
        gauge(MetricCatalog.waiting) { Double($0.waiting) }
        gauge(MetricCatalog.delayed) { Double($0.delayed) }
        gauge(MetricCatalog.leased) { Double($0.leased) }
        gauge(MetricCatalog.running) { Double($0.running) }
        gauge(MetricCatalog.limited) { Double($0.limited) }
        gauge(MetricCatalog.oldestWaiting) { $0.oldest.map { max(.zero, now - $0) / .seconds(1) } ?? 0 }
        gauge(MetricCatalog.questions) { Double($0.questions) }
        text.begin(MetricCatalog.batches)
        for (flow, levels) in flows {
            for status in BatchStatus.allCases { text.sample(labels(flow, status), levels.batches[status] ?? 0) }
        }
    }

    private static func write(_ flows: [(Name, Totals)], to text: inout PrometheusText) {
        text.begin(MetricCatalog.tasks)
        for (flow, totals) in flows {
            for status in Outcome.Status.allCases { text.sample(labels(flow, status), totals.tasks[status] ?? 0) }
        }
        text.begin(MetricCatalog.finishedBatches)
        for (flow, totals) in flows {
            for status in BatchStatus.allCases where status.isFinal {
                text.sample(labels(flow, status), totals.finished[status]?.counts.reduce(0, +) ?? 0)
            }
        }
        text.begin(MetricCatalog.batchDuration)
        for (flow, totals) in flows {
            for (status, ended) in totals.finished.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                text.histogram(
                    labels(flow, status),
                    bounds: MetricCatalog.batchDuration.bounds,
                    counts: ended.counts,
                    sum: ended.sum
                )
            }
        }
        text.begin(MetricCatalog.tokens)
        for (flow, totals) in flows {
            for (kind, count) in totals.tokens.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                text.sample(PrometheusText.Labels([("flow", flow.text), ("kind", kind.rawValue)]), count)
            }
        }
    }

    private static func write(_ batches: some Collection<BatchSummary>, to text: inout PrometheusText) {
        if batches.isEmpty { return }
        text.begin(MetricCatalog.batchTasks)
        for batch in batches {
            let counts = batch.counts
            for (status, count) in [
                ("pending", counts.pending), ("running", counts.running), ("succeeded", counts.succeeded),
                ("failed", counts.failed), ("cancelled", counts.cancelled),
            ] {
                let labels = [("batch", batch.info.id.text), ("flow", batch.info.flow.text), ("status", status)]
                text.sample(PrometheusText.Labels(labels), count)
            }
        }
    }

    private static func labels(_ flow: Name) -> PrometheusText.Labels { PrometheusText.Labels([("flow", flow.text)]) }

    private static func labels(_ flow: Name, _ status: some RawRepresentable<String>) -> PrometheusText.Labels {
        PrometheusText.Labels([("flow", flow.text), ("status", status.rawValue)])
    }
}
