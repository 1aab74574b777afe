public import SheafCore

/// A flow under its name, with what is to hold for each of its tasks.
public struct FlowDefinition: Sendable {
    /// The name that batches ask for.
    public var name: Name
    /// What is run.
    public var flow: any Flow {
        didSet { serialFlow = flow as? any SerialFlow }
    }
    /// The same, where it may be handed several tasks at once; looked up once, since each task asks for it.
    public private(set) var serialFlow: (any SerialFlow)?
    /// How long one attempt may take; nil means as long as it likes.
    public var timeout: Duration?
    /// How many more attempts a retryable failure gets.
    public var retries: Int
    /// Which failures are tried again, and after how long.
    public var retryRule: RetryRule
    /// Values for templates and programs, laid under those of the batch: an object.
    public var parameters: JSONValue
    /// What its calls share with those of other flows, or nil where the service it calls is its own and has no rate.
    public var rateLimit: FlowRateLimit?
    /// How long a question of a task waits for its answer; nil means as long as the task may run.
    public var answerTimeout: Duration?

    /// Makes a definition.
    public init(
        name: Name,
        flow: any Flow,
        timeout: Duration? = nil,
        retries: Int = FlowDefinition.defaultRetries,
        retryRule: RetryRule = RetryRule(),
        parameters: JSONValue = [:],
        rateLimit: FlowRateLimit? = nil,
        answerTimeout: Duration? = nil
    ) {
        self.name = name
        self.flow = flow
        self.serialFlow = flow as? any SerialFlow
        self.timeout = timeout
        self.retries = retries
        self.retryRule = retryRule
        self.parameters = parameters
        self.rateLimit = rateLimit
        self.answerTimeout = answerTimeout
    }

    /// What tasks of this flow wait for when the service it calls wants to be left alone.
    public var rateLimitKey: RateLimitKey { rateLimit?.key ?? .flow(name) }

    /// How many more attempts a retryable failure gets where nothing is said.
    public static let defaultRetries = 2
}
