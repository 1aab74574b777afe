/// One record of a batch with one choice of parameters, as it waits in a queue.
public struct BatchTask: Sendable, Equatable {
    /// The flow that is to run it.
    public var flow: Name
    /// The batch it belongs to.
    public var batch: Name
    /// Its number within the batch, from 0 without gaps.
    public var index: Int
    /// The generation: 0, and one more each time the task is opened again.
    public var generation: Int
    /// Which attempt the next run is, from 1, not counting deliveries that a worker took and lost.
    public var attempt: Int
    /// What to work on.
    public var record: Record
    /// The parameters as a JSON object, or nil where there are none.
    public var parameters: String?
    /// How earlier attempts failed, the last few.
    public var errors: [AttemptError]

    /// Makes a task.
    public init(
        flow: Name,
        batch: Name,
        index: Int,
        generation: Int = 0,
        attempt: Int = 1,
        record: Record,
        parameters: String? = nil,
        errors: [AttemptError] = []
    ) {
        self.flow = flow
        self.batch = batch
        self.index = index
        self.generation = generation
        self.attempt = attempt
        self.record = record
        self.parameters = parameters
        self.errors = errors
    }

    /// The id that names the task everywhere: `batch:index`.
    public var id: String { "\(batch.text):\(index)" }
}
