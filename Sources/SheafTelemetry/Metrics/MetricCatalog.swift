/// The description of a metric: its name, kind, help text and buckets.
package struct MetricDefinition: Sendable, Hashable {
    /// The kinds of metrics, as the text format names them.
    package enum Kind: String, Sendable {
        case counter, gauge, histogram
    }

    /// The name.
    package let name: String
    /// The kind.
    package let kind: Kind
    /// What it measures, in one sentence.
    package let help: String
    /// The upper bounds of the buckets of a histogram, in ascending order, without infinity.
    package let bounds: [Double]

    private init(_ name: String, _ kind: Kind, _ help: String, bounds: [Double] = []) {
        self.name = name
        self.kind = kind
        self.help = help
        self.bounds = bounds
    }

    fileprivate static func counter(_ name: String, _ help: String) -> Self { Self(name, .counter, help) }
    fileprivate static func gauge(_ name: String, _ help: String) -> Self { Self(name, .gauge, help) }
    fileprivate static func histogram(_ name: String, _ help: String, _ bounds: [Double]) -> Self {
        Self(name, .histogram, help, bounds: bounds)
    }

    /// The bounds for tasks, in seconds: those of OpenTelemetry for messaging, and longer ones, since tasks of models
    /// take minutes.
    package static let taskBounds = [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 900, 3600,
    ]
    /// The bounds for whole batches, in seconds, up to a week.
    package static let batchBounds: [Double] = [1, 10, 60, 300, 900, 3600, 14_400, 86_400, 604_800]
}

/// The metrics of Sheaf; a worker and a server have none in common, so that sums count nothing twice.
package enum MetricCatalog {
    package static let attempts = MetricDefinition.counter(
        "sheaf_task_attempts_total",
        "Attempts at tasks that ended in this worker, by how they ended."
    )
    package static let errors = MetricDefinition.counter(
        "sheaf_task_errors_total",
        "Failed attempts at tasks in this worker, by the type of the error."
    )
    package static let taskDuration = MetricDefinition.histogram(
        "sheaf_task_duration_seconds",
        "Duration of the last attempt at a task.",
        MetricDefinition.taskBounds
    )
    package static let taskWait = MetricDefinition.histogram(
        "sheaf_task_wait_seconds",
        "Time from the creation of a batch to the first attempt at a task of it.",
        MetricDefinition.taskBounds
    )
    package static let slots = MetricDefinition.gauge(
        "sheaf_worker_slots",
        "Tasks that this worker can run at once."
    )
    package static let usedSlots = MetricDefinition.gauge(
        "sheaf_worker_slots_used",
        "Tasks that this worker is running."
    )
    package static let redeliveries = MetricDefinition.counter(
        "sheaf_redeliveries_total",
        "Attempts that the broker had delivered before, because a worker returned the task or was lost."
    )
    package static let returned = MetricDefinition.counter(
        "sheaf_tasks_returned_total",
        "Tasks that this worker returned unfinished to their queues."
    )
    package static let throttled = MetricDefinition.counter(
        "sheaf_limit_throttled_seconds_total",
        "Time during which tasks of this worker waited for a rate limit."
    )
    package static let confirms = MetricDefinition.histogram(
        "sheaf_publish_confirm_seconds",
        "Time until the broker confirmed outcomes, from the first try to write them.",
        MetricDefinition.taskBounds
    )
    package static let reconnects = MetricDefinition.counter(
        "sheaf_broker_reconnects_total",
        "Times that this worker could use the broker again after an interruption."
    )
    package static let workerConnected = MetricDefinition.gauge(
        "sheaf_worker_connected",
        "Whether this worker can use the broker."
    )
    package static let workerBuild = MetricDefinition.gauge(
        "sheaf_worker_build_info",
        "The version of this worker."
    )
    package static let refusedSeries = MetricDefinition.counter(
        "sheaf_metrics_refused_series_total",
        "Series that were not recorded, because there are too many or their name has another kind."
    )

    package static let tasks = MetricDefinition.counter(
        "sheaf_tasks_total",
        "Tasks with an outcome, in all batches, by the status of the outcome."
    )
    package static let waiting = MetricDefinition.gauge(
        "sheaf_tasks_waiting",
        "Tasks that could start now, in batches that may run."
    )
    package static let delayed = MetricDefinition.gauge(
        "sheaf_tasks_delayed",
        "Tasks that wait for their next attempt, in batches that may run."
    )
    package static let leased = MetricDefinition.gauge(
        "sheaf_tasks_leased",
        "Tasks that are kept in the results log because they take long or are in a bulk; most of them run."
    )
    package static let running = MetricDefinition.gauge(
        "sheaf_tasks_running",
        "Tasks that workers are running."
    )
    package static let limited = MetricDefinition.gauge(
        "sheaf_tasks_limited",
        "Waiting tasks that workers hold back because of a rate limit."
    )
    package static let oldestWaiting = MetricDefinition.gauge(
        "sheaf_oldest_waiting_seconds",
        "Age of the oldest batch that may run and has waiting tasks."
    )
    package static let batches = MetricDefinition.gauge(
        "sheaf_batches",
        "Batches, by status."
    )
    package static let finishedBatches = MetricDefinition.counter(
        "sheaf_batches_finished_total",
        "Batches that have ended, by status."
    )
    package static let batchDuration = MetricDefinition.histogram(
        "sheaf_batch_duration_seconds",
        "Time from the creation of a batch to its end.",
        MetricDefinition.batchBounds
    )
    package static let questions = MetricDefinition.gauge(
        "sheaf_questions_open",
        "Questions of tasks that wait for an answer."
    )
    package static let tokens = MetricDefinition.counter(
        "sheaf_tokens_total",
        "Tokens of models that succeeded tasks used, by kind."
    )
    package static let dead = MetricDefinition.gauge(
        "sheaf_dead_messages",
        "Messages in the log of dead letters that were neither dismissed nor requeued."
    )
    package static let limitTokens = MetricDefinition.gauge(
        "sheaf_limit_tokens",
        "Calls that a rate limit allows at once now."
    )
    package static let connected = MetricDefinition.gauge(
        "sheaf_broker_connected",
        "Whether the broker answered the last request of this server."
    )
    package static let blocked = MetricDefinition.gauge(
        "sheaf_broker_blocked",
        "Whether the broker takes no messages, because memory or disk are short."
    )
    package static let aggregating = MetricDefinition.gauge(
        "sheaf_aggregator_running",
        "Whether any process is the aggregator."
    )
    package static let build = MetricDefinition.gauge(
        "sheaf_build_info",
        "The version of this server and its broker."
    )
    package static let batchTasks = MetricDefinition.gauge(
        "sheaf_batch_tasks",
        "Tasks of the newest active batches, by state, if the configuration asks for it."
    )

    /// What a worker exports.
    package static let worker = [
        attempts, errors, taskDuration, taskWait, slots, usedSlots, redeliveries, returned, throttled, confirms,
        reconnects, workerConnected, workerBuild, refusedSeries,
    ]
    /// What a server exports.
    package static let server = [
        tasks, waiting, delayed, running, leased, limited, oldestWaiting, batches, finishedBatches, batchDuration,
        questions, tokens,
        dead, limitTokens, connected, blocked, aggregating, build, batchTasks,
    ]

    static let byName = Dictionary((worker + server).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
}
