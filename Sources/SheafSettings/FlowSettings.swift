public import OrderedCollections
public import SheafCore
public import SheafFlows

/// A flow as the configuration defines it.
public struct FlowSettings: Sendable {
    /// The name of the flow, as batches name it.
    public let name: Name
    /// Where it is defined.
    public let origin: SettingsOrigin
    /// What a worker runs for each task.
    public let flow: any Flow
    /// The default inputs as they are written: paths and globs, or `-` for standard input; empty if there are none.
    public let source: [String]
    /// The folder that relative paths in ``source`` start from, absolute.
    public let sourceDirectory: String
    /// The format of the input, or nil if the ending of its name decides.
    public let format: String?
    /// The field that holds a record's id.
    public let idField: String?
    /// The new names of columns, each with the name in the input.
    public let columns: OrderedDictionary<String, String>
    /// Values for templates and programs: an object.
    public let parameters: JSONValue
    /// The time-out of one attempt; nil means no time-out.
    public let timeout: Duration?
    /// How many times a retryable failure is retried.
    public let retries: Int
    /// Which failures are retried, and after how long.
    public let retryRule: RetryRule
    /// The defaults of its batches.
    public let batch: BatchDefaults
    /// The rate limit of its calls, which other flows may share; nil if it has none.
    public let limit: FlowRateLimit?
    /// How long a question of a task waits for its answer; nil means as long as the task may run.
    public let answerTimeout: Duration?
    /// The variables of the environment that a worker needs for it and that are not set here.
    public let missingVariables: [String]

    /// Whether only another program can run it (`swift: true`).
    public var isExternal: Bool { flow is ExternalFlow }

    /// Returns the flow for a worker.
    public func definition() -> FlowDefinition {
        FlowDefinition(
            name: name,
            flow: flow,
            timeout: timeout,
            retries: retries,
            retryRule: retryRule,
            parameters: parameters,
            rateLimit: limit,
            answerTimeout: answerTimeout
        )
    }
}

/// The defaults of a flow's batches; nil means that the flow sets no default.
public struct BatchDefaults: Sendable, Equatable {
    /// What to do when tasks fail.
    public var errorPolicy: ErrorPolicy?
    /// How many tasks may run at once over all workers.
    public var maxRunning: Int?
    /// Whether the order of the records is shuffled.
    public var shuffle: Bool?
    /// The largest number of records.
    public var maxRecords: Int?
    /// Whether one invalid record keeps the whole batch from being published.
    public var strict: Bool?
    /// How long publishing waits while the broker confirms nothing.
    public var publishTimeout: Duration?
    /// Whether tasks may ask questions.
    public var isInteractive: Bool?

    /// Creates defaults.
    public init(
        errorPolicy: ErrorPolicy? = nil,
        maxRunning: Int? = nil,
        shuffle: Bool? = nil,
        maxRecords: Int? = nil,
        strict: Bool? = nil,
        publishTimeout: Duration? = nil,
        isInteractive: Bool? = nil
    ) {
        self.errorPolicy = errorPolicy
        self.maxRunning = maxRunning
        self.shuffle = shuffle
        self.maxRecords = maxRecords
        self.strict = strict
        self.publishTimeout = publishTimeout
        self.isInteractive = isInteractive
    }
}
