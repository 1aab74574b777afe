public import SheafCore

/// What a new batch is to be.
public struct BatchPlan: Sendable {
    /// The flow that is to run its tasks.
    public var flow: Name
    /// The id, or nil for one that is made up.
    public var id: Name?
    /// The options.
    public var options: BatchOptions
    /// The parameters that the flow has by default: an object; those of the options are laid over them.
    public var defaults: JSONValue
    /// Where the records come from, for people.
    public var source: String
    /// How long a confirmation may take before publishing is given up.
    public var publishTimeout: Duration

    /// Makes a plan.
    public init(
        flow: Name,
        id: Name? = nil,
        options: BatchOptions = BatchOptions(),
        defaults: JSONValue = [:],
        source: String = "",
        publishTimeout: Duration = .seconds(60)
    ) {
        self.flow = flow
        self.id = id
        self.options = options
        self.defaults = defaults
        self.source = source
        self.publishTimeout = publishTimeout
    }
}

/// A batch all of whose tasks are confirmed.
public struct CreatedBatch: Sendable, Equatable {
    /// The batch.
    public var id: Name
    /// Its flow.
    public var flow: Name
    /// The number of its tasks, unreadable records among them.
    public var total: Int
    /// How many records could not be read; each has a failed outcome.
    public var invalid: Int
}
