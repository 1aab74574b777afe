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
    public var limit: Int?
    /// Whether it leaves when every batch it may run is finished.
    public var untilEmpty: Bool
    /// How long it takes tasks before it leaves, or nil for no limit.
    public var maxTime: Duration?
    /// How long it waits for a task before it leaves, or nil for no limit.
    public var idleTimeout: Duration?
    /// Its name in results; by default made of host and process.
    public var name: String

    /// Makes a configuration.
    public init(
        flows: [FlowDefinition],
        batch: Name? = nil,
        concurrency: Int = 5,
        limit: Int? = nil,
        untilEmpty: Bool = false,
        maxTime: Duration? = nil,
        idleTimeout: Duration? = nil,
        name: String = WorkerConfiguration.defaultName
    ) {
        self.flows = flows
        self.batch = batch
        self.concurrency = concurrency
        self.limit = limit
        self.untilEmpty = untilEmpty
        self.maxTime = maxTime
        self.idleTimeout = idleTimeout
        self.name = name
    }
}
