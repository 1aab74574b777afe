import SheafBatches
public import SheafCore
public import SheafFlows

/// What a worker runs, how much of it at once, and when it leaves.
public struct WorkerConfiguration: Sendable {
    /// The flows it knows; batches of other flows are ignored.
    public var flows: [FlowDefinition]
    /// The only batch it works for, or nil for all.
    public var batch: Name?
    /// The most tasks that run at once.
    public var concurrency: Int
    /// The most tasks it takes before it leaves, or nil for no limit.
    public var maxTasks: Int?
    /// Whether it leaves when every batch that it may run is finished.
    public var untilEmpty: Bool
    /// How long it takes tasks before it leaves, or nil for no limit.
    public var maxTime: Duration?
    /// How long it waits for a task before it leaves, or nil for no limit.
    public var idleTimeout: Duration?
    /// How long running tasks may continue after a shutdown was requested, or nil for no limit.
    ///
    /// What has not finished by then is cancelled and returned to its queue.
    public var grace: Duration?
    /// How long the broker waits for the end of a task before it delivers the task to another worker.
    ///
    /// A task that takes longer than a third of it is kept in its batch's results log instead. It must not be longer
    /// than the time that is configured at the broker.
    public var acknowledgementTimeout: Duration
    /// Its name in results; by default made of the host name and the process number.
    public var name: String
    /// Asks the person at this worker directly, or nil if questions are only answered from elsewhere.
    public var prompt: (any QuestionPrompt)?
    /// Receives what happens in the worker, for metrics, traces and logs.
    public var observer: (any WorkerObserver)?
    /// How long its parts wait for what.
    var timing = WorkerTiming()

    /// Creates a configuration.
    public init(
        flows: [FlowDefinition],
        batch: Name? = nil,
        concurrency: Int = 5,
        maxTasks: Int? = nil,
        untilEmpty: Bool = false,
        maxTime: Duration? = nil,
        idleTimeout: Duration? = nil,
        grace: Duration? = WorkerConfiguration.defaultGrace,
        acknowledgementTimeout: Duration = WorkerConfiguration.defaultAcknowledgementTimeout,
        name: String? = nil,
        prompt: (any QuestionPrompt)? = nil,
        observer: (any WorkerObserver)? = nil
    ) {
        self.flows = flows
        self.batch = batch
        self.concurrency = concurrency
        self.maxTasks = maxTasks
        self.untilEmpty = untilEmpty
        self.maxTime = maxTime
        self.idleTimeout = idleTimeout
        self.grace = grace
        self.acknowledgementTimeout = acknowledgementTimeout
        self.name = name ?? processName
        self.prompt = prompt
        self.observer = observer
    }

    /// The rate limits of its flows, one for each key; a rate that any flow with the key has applies to the key.
    var rateLimits: [FlowRateLimit] {
        let rateLimits = flows.map { FlowRateLimit(key: $0.rateLimitKey, rate: $0.rateLimit?.rate) }
        return Dictionary(grouping: rateLimits, by: \.key).map { key, same in
            FlowRateLimit(key: key, rate: same.lazy.compactMap(\.rate).first)
        }
    }

    /// The rate limit key of each flow.
    var rateLimitKeys: [Name: RateLimitKey] {
        Dictionary(flows.map { ($0.name, $0.rateLimitKey) }, uniquingKeysWith: { $1 })
    }

    /// The default of ``grace``.
    public static let defaultGrace = Duration.seconds(25)
    /// The default of ``acknowledgementTimeout``: how long RabbitMQ waits unless configured otherwise.
    public static let defaultAcknowledgementTimeout = Duration.seconds(30 * 60)
}

/// How long the parts of a worker wait for what.
struct WorkerTiming: Sendable {
    // MARK: Leaving

    /// How often the stop condition is checked.
    var stopInterval = Duration.milliseconds(100)
    /// How long nothing must come before the worker checks whether the broker has lost the rest, and how often it
    /// checks.
    var lossPatience = Duration.seconds(5)
    /// How long work that belongs to the end of a task is tried after the worker was told to leave.
    var lastPatience = Duration.seconds(5)

    // MARK: Heartbeats

    /// How often the worker looks whether its running tasks have changed.
    var heartbeatLook = Duration.milliseconds(250)
    /// How often an unchanged heartbeat is repeated.
    var heartbeatInterval = Duration.seconds(1)

    // MARK: Fetching

    /// How often consumers are reviewed, and how long fetching pauses after an error.
    var fetchInterval = Duration.milliseconds(200)
    /// How often the worker counts ended tasks while slots wait although some have just ended.
    var earlyLook = Duration.milliseconds(10)
    /// How long after the last end of a task such early looks make sense.
    var hungryTime = Duration.seconds(1)
    /// How long a queue counts as busy after its last delivery.
    var busyTime = Duration.milliseconds(250)
    /// How long a delivery may be on its way.
    var arrival = Duration.milliseconds(50)
    /// How long a queue may deliver nothing, because of errors, before that counts as broken.
    var brokenPatience = Duration.seconds(10)
    /// How often the same interruption is logged.
    var complaintInterval = Duration.seconds(10)
    /// The first and the longest pause after a queue had no single task, or no permit.
    var pullPause = (first: Duration.milliseconds(5), longest: Duration.milliseconds(50))
    /// How often suspects are looked for, and how long nothing else must be held before.
    var suspects = (interval: Duration.seconds(1), idle: Duration.milliseconds(300))
    /// How long deliveries that are on their way are awaited near the limit of tasks, and how long if the queues are
    /// empty.
    var limitPatience = (longest: Duration.seconds(2), ifEmpty: Duration.milliseconds(200))
    /// How often it is checked whether they have arrived.
    var limitInterval = Duration.milliseconds(10)

    // MARK: Executing

    /// How long a group is given more tasks: a batch whose tasks are taken one by one gets its turn only if a slot is
    /// free.
    var longestGroup = Duration.milliseconds(250)
    /// How long nothing more must come before a bulk begins with fewer tasks than it could have, and how often that is
    /// checked, before and after that time.
    var bulkGathering = (
        patience: Duration.milliseconds(500), look: Duration.milliseconds(5), quietLook: Duration.milliseconds(50)
    )
    /// How long withdrawing a question is tried.
    var withdrawalPatience = Duration.seconds(2)

    // MARK: Writing outcomes

    /// How long an append may take before no new task is started.
    var stallPatience = Duration.seconds(1)
    /// How often it is checked whether an append takes too long.
    var stallInterval = Duration.milliseconds(250)
    /// The least time from one append to the next.
    var gathering = Duration.milliseconds(3)
    /// The same if the last append had several outcomes, which grows with their number within these bounds: each
    /// append, and what follows it, costs the same.
    var longGathering = (
        least: Duration.milliseconds(20), most: Duration.milliseconds(30), each: Duration.microseconds(100)
    )
    /// How often it is checked meanwhile whether slots have nothing to do.
    var gatheringLook = Duration.milliseconds(9)
    /// How long publishing tasks again and settling deliveries is tried when the worker leaves.
    var returnPatience = Duration.seconds(5)

    // MARK: Leases

    /// The longest time between two looks for tasks that take long.
    var leaseInterval = Duration.seconds(1)
    /// How often a permit's renewal checks whether a pull has ended.
    var permitInterval = Duration.milliseconds(5)

    // MARK: Rate limits

    /// Pauses if the service does not tell their length.
    var servicePause = (first: Duration.milliseconds(500), longest: Duration.seconds(60))
    /// A shorter pause counts as none: the call would be repeated at once.
    var shortestPause = Duration.milliseconds(100)

    /// How long outcomes gather after an append that had several.
    func gathering(after count: Int) -> Duration {
        min(longGathering.most, max(longGathering.least, longGathering.each * count))
    }
}
