package import OrderedCollections
package import SheafCore
package import SheafFlows

/// A flow as the configuration defines it.
package struct FlowSettings: Sendable {
    /// The name of the flow, as batches name it.
    package let name: Name
    /// Where it is defined.
    package let origin: SettingsOrigin
    /// The key that selects what it does, such as `exec`.
    package let kind: String
    /// What a worker runs for each task.
    package let flow: any Flow
    /// The default inputs as they are written: paths and globs, or `-` for standard input; empty if there are none.
    package let source: [String]
    /// The folder that relative paths in ``source`` start from, absolute.
    package let sourceDirectory: String
    /// The format of the input, or nil if the ending of its name decides.
    package let format: String?
    /// The field that holds a record's id.
    package let idField: String?
    /// The new names of columns, each with the name in the input.
    package let columns: OrderedDictionary<String, String>
    /// Values for templates and programs: an object.
    package let parameters: JSONValue
    /// The time-out of one attempt; nil means no time-out.
    package let timeout: Duration?
    /// How many times a retryable failure is retried.
    package let retries: Int
    /// Which failures are retried, and after how long.
    package let retryRule: RetryRule
    /// The defaults of its batches.
    package let batch: BatchDefaults
    /// The rate limit of its calls, which other flows may share; nil if it has none.
    package let limit: FlowRateLimit?
    /// How long a question of a task waits for its answer; nil means as long as the task may run.
    package let answerTimeout: Duration?
    /// The variables of the environment that a worker needs for it and that are not set here.
    package let missingVariables: [String]
    /// What its calls cost; nil if it asks no model.
    package var pricing: FlowPricing?

    /// Whether only another program can run it (`swift: true`).
    package var isExternal: Bool { flow is ExternalFlow }

    /// Returns the flow for a worker.
    package func definition() -> FlowDefinition {
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
package struct BatchDefaults: Sendable, Equatable {
    /// What to do when tasks fail.
    package var errorPolicy: ErrorPolicy?
    /// How many tasks may run at once over all workers.
    package var maxRunning: Int?
    /// Whether the order of the records is shuffled.
    package var shuffle: Bool?
    /// The largest number of records.
    package var maxRecords: Int?
    /// Whether one invalid record keeps the whole batch from being published.
    package var strict: Bool?
    /// How long publishing waits while the broker confirms nothing.
    package var publishTimeout: Duration?
    /// Whether tasks may ask questions.
    package var isInteractive: Bool?
    /// Which records are identical, so that only the first of them runs; nil if each record runs.
    package var deduplication: Deduplication?
    /// The tags of each batch.
    package var tags: [String: String]
    /// The URLs that are notified when a batch has ended.
    package var notify: [String]

    /// Creates defaults.
    package init(
        errorPolicy: ErrorPolicy? = nil,
        maxRunning: Int? = nil,
        shuffle: Bool? = nil,
        maxRecords: Int? = nil,
        strict: Bool? = nil,
        publishTimeout: Duration? = nil,
        isInteractive: Bool? = nil,
        deduplication: Deduplication? = nil,
        tags: [String: String] = [:],
        notify: [String] = []
    ) {
        self.errorPolicy = errorPolicy
        self.maxRunning = maxRunning
        self.shuffle = shuffle
        self.maxRecords = maxRecords
        self.strict = strict
        self.publishTimeout = publishTimeout
        self.isInteractive = isInteractive
        self.deduplication = deduplication
        self.tags = tags
        self.notify = notify
    }
}

extension BatchDefaults {
    /// Whether a text is a URL that can be notified of the end of a batch.
    package static func isURL(_ text: String) -> Bool { WebhookCaller.isURL(text) }
}
