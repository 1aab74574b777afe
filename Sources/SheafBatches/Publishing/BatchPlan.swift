public import SheafCore

/// The description of a batch to create.
public struct BatchPlan: Sendable {
    /// The flow that runs its tasks.
    public var flow: Name
    /// The id, or nil to generate one.
    public var id: Name?
    /// The options.
    public var options: BatchOptions
    /// The default parameters of the flow, an object; the parameters of the options override them.
    public var defaults: JSONValue
    /// Where the records come from, as text for people.
    public var source: String
    /// How to read the records again; if nil, an interrupted creation cannot be resumed.
    public var input: BatchInput?
    /// How long the broker may confirm nothing before publishing fails.
    public var publishTimeout: Duration
    /// The place in a trace that its tasks carry, or nil if the batch is not traced.
    public var trace: TraceContext?

    /// Creates a plan.
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

/// A batch whose tasks are all confirmed by the broker.
public struct CreatedBatch: Sendable, Equatable {
    /// The batch.
    public var id: Name
    /// Its flow.
    public var flow: Name
    /// The number of its tasks, including those of unreadable records.
    public var total: Int
    /// How many tasks failed because their record was unreadable; after a resumption, those of the resumed part only.
    public var invalid: Int
    /// How many tasks are not published, because their record is identical to an earlier one; also after a resumption,
    /// those of the whole batch.
    public var twins: Int
    /// How many tasks were published before an interrupted creation was resumed; nil if it was not interrupted.
    public var resumedAt: Int?

    /// Describes a batch.
    package init(id: Name, flow: Name, total: Int, invalid: Int = 0, twins: Int = 0, resumedAt: Int? = nil) {
        self.id = id
        self.flow = flow
        self.total = total
        self.invalid = invalid
        self.twins = twins
        self.resumedAt = resumedAt
    }
}

/// Callbacks during the creation of a batch.
public struct CreationEvents: Sendable {
    /// Called when the batch exists, or when its creation is resumed.
    public var onCreated: @Sendable (Name) -> Void
    /// Called with the number of tasks that are confirmed.
    public var onConfirmed: @Sendable (Int) -> Void
    /// Called when publishing waits for the broker, and with nil when it continues.
    public var onStall: @Sendable (PublishingStall?) -> Void

    /// Creates callbacks; those left out do nothing.
    public init(
        onCreated: @escaping @Sendable (Name) -> Void = { _ in },
        onConfirmed: @escaping @Sendable (Int) -> Void = { _ in },
        onStall: @escaping @Sendable (PublishingStall?) -> Void = { _ in }
    ) {
        self.onCreated = onCreated
        self.onConfirmed = onConfirmed
        self.onStall = onStall
    }
}
