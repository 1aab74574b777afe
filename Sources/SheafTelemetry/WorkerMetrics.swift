public import Metrics
import SheafBatches
public import SheafCore
public import SheafFlows
public import SheafWorker
import Synchronization

/// Counts and times what happens in a worker, through swift-metrics.
///
/// Labels are bounded: `flow` by the flows of the worker, `error_type` by a fixed list, `limit` by the rate limits of
/// the flows. Set it as the `observer` of the worker's configuration.
public struct WorkerMetrics: WorkerObserver {
    /// A worker has few flows, so comparing their names costs less than hashing one.
    private let flows: [FlowMetrics]
    private let limits: [RateLimitKey: FloatingPointCounter]
    private let slots: Gauge
    private let returned: Counter
    private let confirms: Timer
    private let reconnects: Counter
    private let connected: Gauge
    private let lastLook = LastLook()

    /// Creates the metrics of a worker.
    ///
    /// - Parameters:
    ///   - flows: The flows of the worker.
    ///   - factory: Where the metrics are kept; by default what `MetricsSystem` was bootstrapped with.
    public init(flows: [FlowDefinition], factory: any MetricsFactory = MetricsSystem.factory) {
        self.flows = flows.map { FlowMetrics($0.name, factory) }
        limits = Dictionary(
            flows.map { flow in
                let label = [("limit", flow.rateLimitKey.text)]
                return (
                    flow.rateLimitKey,
                    FloatingPointCounter(label: MetricCatalog.throttled.name, dimensions: label, factory: factory)
                )
            },
            uniquingKeysWith: { first, _ in first }
        )
        slots = Gauge(label: MetricCatalog.slots.name, factory: factory)
        returned = Counter(label: MetricCatalog.returned.name, factory: factory)
        confirms = Timer(label: MetricCatalog.confirms.name, factory: factory)
        reconnects = Counter(label: MetricCatalog.reconnects.name, factory: factory)
        connected = Gauge(label: MetricCatalog.workerConnected.name, factory: factory)
        connected.record(1)
        let build = [("version", SheafVersion.current), ("swift", SheafVersion.swift)]
        Gauge(label: MetricCatalog.workerBuild.name, dimensions: build, factory: factory).record(1)
    }

    // MARK: Events

    /// Times how long a task has waited, and counts redeliveries.
    public func taskBegan(_ task: ObservedTask) {
        guard let flow = metrics(of: task) else { return }
        if task.isRedelivered { flow.redeliveries.increment() }
        // Later attempts and retried batches have not waited since the batch was created.
        if task.attempt == 1, task.generation == 0 {
            flow.wait.record(duration: max(.zero, Timestamp.now - task.batchCreatedAt))
        }
    }

    /// Counts and times the last attempt at a task.
    public func taskEnded(_ task: ObservedTask, outcome: Outcome) {
        guard let flow = metrics(of: task) else { return }
        let duration = max(.zero, outcome.finishedAt - outcome.startedAt)
        switch outcome.status {
        case .succeeded:
            flow.succeeded.increment()
            flow.successDuration.record(duration: duration)
        case .failed:
            flow.failed.increment()
            flow.failureDuration.record(duration: duration)
            flow.countError(outcome.error?.type ?? "")
        case .cancelled:
            flow.cancelled.increment()
            flow.cancelDuration.record(duration: duration)
        }
    }

    /// Counts an attempt that failed and is repeated.
    public func taskRetried(_ task: ObservedTask, error: FlowError, delay: Duration) {
        guard let flow = metrics(of: task) else { return }
        flow.retried.increment()
        flow.countError(error.type)
    }

    /// Counts tasks that were returned.
    public func tasksReturned(_ count: Int, toQueueOf batch: Name?) { returned.increment(by: count) }

    /// Counts a call that a service refused for now.
    public func taskThrottled(_ task: ObservedTask, by limit: RateLimitKey, throttle: FlowThrottle) {
        metrics(of: task)?.throttled.increment()
    }

    /// Records whether the broker can be used.
    public func connectionChanged(to state: WorkerConnectionState) {
        connected.record(state == .connected ? 1 : 0)
        if state == .connected { reconnects.increment() }
    }

    /// Times how long the broker took to confirm outcomes.
    public func outcomesConfirmed(_ count: Int, after duration: Duration) { confirms.record(duration: duration) }

    /// Records the slots, and how long limits were waited for.
    public func loadMeasured(_ load: WorkerLoad) {
        slots.record(load.slots)
        for flow in flows { flow.used.record(load.running[flow.name] ?? 0) }
        let passed = lastLook.next()
        for limit in load.awaitedLimits { limits[limit]?.increment(by: passed / .seconds(1)) }
    }

    private func metrics(of task: ObservedTask) -> FlowMetrics? {
        let name = task.flow
        return flows.first { $0.name == name }
    }
}

/// When the load of a worker was measured last.
private final class LastLook: Sendable {
    private let time = Mutex<ContinuousClock.Instant?>(nil)

    /// Returns the time since the last look, of at most one second, and begins the next.
    func next() -> Duration {
        let now = ContinuousClock.now
        return time.withLock { time in
            defer { time = now }
            return min(.seconds(1), time.map { now - $0 } ?? .zero)
        }
    }
}

/// The metrics of one flow, made once.
private final class FlowMetrics: Sendable {
    let succeeded, failed, cancelled, retried, throttled, redeliveries: Counter
    let successDuration, failureDuration, cancelDuration, wait: Timer
    let used: Gauge
    let name: Name
    private let factory: any MetricsFactory
    private let errors = Mutex<[String: Counter]>([:])

    init(_ name: Name, _ factory: any MetricsFactory) {
        self.name = name
        self.factory = factory
        let label = ("flow", name.text)
        func attempts(_ outcome: String) -> Counter {
            Counter(label: MetricCatalog.attempts.name, dimensions: [label, ("outcome", outcome)], factory: factory)
        }
        func duration(_ status: Outcome.Status) -> Timer {
            let labels = [label, ("status", status.rawValue)]
            return Timer(label: MetricCatalog.taskDuration.name, dimensions: labels, factory: factory)
        }
        succeeded = attempts("succeeded")
        failed = attempts("failed")
        cancelled = attempts("cancelled")
        retried = attempts("retried")
        throttled = attempts("throttled")
        redeliveries = Counter(label: MetricCatalog.redeliveries.name, dimensions: [label], factory: factory)
        successDuration = duration(.succeeded)
        failureDuration = duration(.failed)
        cancelDuration = duration(.cancelled)
        wait = Timer(label: MetricCatalog.taskWait.name, dimensions: [label], factory: factory)
        used = Gauge(label: MetricCatalog.usedSlots.name, dimensions: [label], factory: factory)
    }

    /// Counts a failed attempt by the type of its error.
    func countError(_ type: String) {
        let type = ErrorTypes.label(type)
        let counter = errors.withLock { errors in
            if let counter = errors[type] { return counter }
            let labels = [("flow", name.text), ("error_type", type)]
            let counter = Counter(label: MetricCatalog.errors.name, dimensions: labels, factory: factory)
            errors[type] = counter
            return counter
        }
        counter.increment()
    }
}

/// The values that the label `error_type` may have.
///
/// A flow chooses the types of its errors freely, so any other type becomes `other`, and a status of HTTP its class.
package enum ErrorTypes {
    /// The types of Sheaf's own errors, as docs/flows.md lists them.
    package static let known: Set<String> = [
        "cancelled", "connection", "error", "exit-code", "invalid-record", "memo-too-large", "no-result", "not-found",
        "not-interactive", "other", "output-not-json", "output-not-text", "output-too-large", "parameters",
        "private-address", "process-ended", "protocol", "redirects", "signal", "spawn", "template", "timeout",
        "unanswered", "unexpected-answer", "worker-lost", "http-1xx", "http-2xx", "http-3xx", "http-4xx", "http-5xx",
    ]

    /// Returns the label for a type.
    package static func label(_ type: String) -> String {
        if type.hasPrefix("http-"), type.utf8.count == 8, let digit = type.utf8.dropFirst(5).first {
            let grouped = "http-\(Unicode.Scalar(digit))xx"
            return known.contains(grouped) ? grouped : "other"
        }
        return known.contains(type) ? type : "other"
    }
}
