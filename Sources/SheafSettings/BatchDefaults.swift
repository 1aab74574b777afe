public import SheafCore

/// What holds for the batches of a flow where `create` says nothing else; nil is for what the flow leaves open too.
public struct BatchDefaults: Sendable, Equatable {
    /// What to do when tasks fail.
    public var errorPolicy: ErrorPolicy?
    /// The most tasks at once over all workers.
    public var maxRunning: Int?
    /// Whether the order of the records is shuffled.
    public var shuffle: Bool?
    /// The most records.
    public var maxRecords: Int?
    /// Whether one bad record keeps all from being published.
    public var strict: Bool?
    /// How long the broker may confirm nothing before publishing is given up.
    public var publishTimeout: Duration?
    /// Whether tasks may ask people.
    public var isInteractive: Bool?

    /// Makes defaults.
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
