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
    /// How to read the records again, or nil where that can not be said; only then an interrupted creation can be resumed.
    public var input: BatchInput?
    /// How long the broker may confirm nothing before publishing is given up.
    public var publishTimeout: Duration

    /// Makes a plan.
    public init(
        flow: Name,
        id: Name? = nil,
        options: BatchOptions = BatchOptions(),
        defaults: JSONValue = [:],
        source: String = "",
        input: BatchInput? = nil,
        publishTimeout: Duration = .seconds(60)
    ) {
        self.flow = flow
        self.id = id
        self.options = options
        self.defaults = defaults
        self.source = source
        self.input = input
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
    /// How many tasks failed because their record could not be read; after a resumption, those of the part published then.
    public var invalid: Int
    /// How many tasks were in the queue already when an interrupted creation was resumed; nil where it never was.
    public var resumedAt: Int?

    /// Describes a batch.
    public init(id: Name, flow: Name, total: Int, invalid: Int = 0, resumedAt: Int? = nil) {
        self.id = id
        self.flow = flow
        self.total = total
        self.invalid = invalid
        self.resumedAt = resumedAt
    }
}
