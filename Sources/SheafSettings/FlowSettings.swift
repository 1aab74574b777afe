public import OrderedCollections
public import SheafCore
public import SheafFlows

/// A flow as the configuration defines it.
public struct FlowSettings: Sendable {
    /// The name that batches ask for.
    public let name: Name
    /// Where it is defined.
    public let origin: SettingsOrigin
    /// What is run.
    public let flow: any Flow
    /// The default inputs: paths and globs, absolute, or `-` for standard input; empty where there are none.
    public let source: [String]
    /// The format of the input, where it does not follow from the ending.
    public let format: String?
    /// The field that is the record's id.
    public let idField: String?
    /// The names of columns: the new one, and the one in the input that it stands for.
    public let columns: OrderedDictionary<String, String>
    /// Values for templates and programs: an object.
    public let parameters: JSONValue
    /// How long one attempt may take; nil means as long as it likes.
    public let timeout: Duration?
    /// How many more attempts a retryable failure gets.
    public let retries: Int
    /// Which failures are tried again, and after how long.
    public let retryRule: RetryRule
    /// What holds for its batches.
    public let batch: BatchDefaults
    /// What its calls share with those of other flows, or nil where there is no rate and no name.
    public let limit: FlowRateLimit?
    /// How long a question of a task waits for its answer; nil means as long as the task may run.
    public let answerTimeout: Duration?
    /// The variables of the environment that a worker needs for it and that are not set here.
    public let missingVariables: [String]

    /// The flow for a worker.
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
