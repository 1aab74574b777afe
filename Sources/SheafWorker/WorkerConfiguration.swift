import SheafBatches
public import SheafCore
public import SheafFlows

/// What a worker runs, how much at once, and when it leaves.
public struct WorkerConfiguration: Sendable {
    /// The flows it knows; batches of others are left alone.
    public var flows: [FlowDefinition]
    /// The only batch it works for, or nil for all.
    public var batch: Name?
    /// The most tasks at once.
    public var concurrency: Int
    /// The most tasks it takes before it leaves, or nil for no limit.
    public var maxTasks: Int?
    /// Whether it leaves when every batch it may run is finished.
    public var untilEmpty: Bool
    /// How long it takes tasks before it leaves, or nil for no limit.
    public var maxTime: Duration?
    /// How long it waits for a task before it leaves, or nil for no limit.
    public var idleTimeout: Duration?
    /// How long running tasks may go on after it was told to shut down, or nil for as long as they like.
    ///
    /// What has not finished by then is ended and goes back to its queue.
    public var grace: Duration?
    /// How long the broker waits for the end of a task before it gives it to somebody else.
    ///
    /// A task that takes longer than a third of it is kept in its batch's results log instead. Must not be longer than what is
    /// configured at the broker.
    public var acknowledgementTimeout: Duration
    /// Its name in results; by default made of host and process.
    public var name: String
    /// The person whom it asks directly, or nil where questions are only answered from elsewhere.
    public var prompt: (any QuestionPrompt)?

    /// Makes a configuration.
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
        prompt: (any QuestionPrompt)? = nil
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
    }

    /// The rateLimits that the calls of its flows have to keep to; a rate that any of those who share a key gives is the key's.
    var rateLimits: [FlowRateLimit] {
        let rateLimits = flows.map { FlowRateLimit(key: $0.rateLimitKey, rate: $0.rateLimit?.rate) }
        return Dictionary(grouping: rateLimits, by: \.key).map { key, same in
            FlowRateLimit(key: key, rate: same.lazy.compactMap(\.rate).first)
        }
    }

    /// How long running tasks may go on where nothing is said.
    public static let defaultGrace = Duration.seconds(25)
    /// How long RabbitMQ waits where nothing is configured there.
    public static let defaultAcknowledgementTimeout = Duration.seconds(30 * 60)
}
