public import SheafCore
public import SheafFlows

/// Identifies one attempt at a task to a ``WorkerObserver``.
public struct ObservedTask: Sendable, Hashable {
    /// The flow that runs it.
    public let flow: Name
    /// The batch it belongs to.
    public let batch: Name
    /// Its number within the batch, from 0.
    public let index: Int
    /// The generation it runs for: 0, and one more each time the batch is retried.
    public let generation: Int
    /// The number of this attempt, from 1, including those whose worker was lost.
    public let attempt: Int

    init(_ assignment: Assignment) {
        let task = assignment.task
        flow = task.flow
        batch = task.batch
        index = task.index
        generation = task.generation
        attempt = assignment.attempts
    }
}

/// Whether a worker can use its broker.
public enum WorkerConnectionState: Sendable, Hashable {
    /// The broker delivers tasks and takes outcomes again.
    case connected
    /// Tasks cannot be fetched, or outcomes cannot be written, for the time being.
    case interrupted(reason: String)
}

/// Receives what happens in a worker, for metrics, traces and logs.
///
/// A worker calls it from many tasks at once and waits for each call, so an implementation must be fast and must not
/// block. Each method has an empty default implementation. Set it as ``WorkerConfiguration/observer``.
public protocol WorkerObserver: Sendable {
    /// An attempt at a task is about to begin; tasks that a flow takes as a group begin together.
    func taskBegan(_ task: ObservedTask)
    /// A task has an outcome, which is about to be written to the results log.
    ///
    /// A task with an invalid record or invalid parameters ends without having begun.
    func taskEnded(_ task: ObservedTask, outcome: Outcome)
    /// An attempt failed, and the task was published again with a delay.
    func taskRetried(_ task: ObservedTask, error: FlowError, delay: Duration)
    /// Tasks were returned unfinished to the queue of a batch; nil stands for the suspects of a flow.
    func tasksReturned(_ count: Int, toQueueOf batch: Name?)
    /// A service asked for a pause; the task waits for its end, and the call does not count as an attempt.
    func taskThrottled(_ task: ObservedTask, by limit: RateLimitKey, throttle: FlowThrottle)
    /// A task that takes long, or runs in a bulk, was put into the results log, and its delivery is acknowledged.
    func taskLeased(batch: Name, index: Int, generation: Int)
    /// The broker became usable or unusable; a worker starts as connected.
    func connectionChanged(to state: WorkerConnectionState)
}

extension WorkerObserver {
    /// Does nothing.
    public func taskBegan(_ task: ObservedTask) {}
    /// Does nothing.
    public func taskEnded(_ task: ObservedTask, outcome: Outcome) {}
    /// Does nothing.
    public func taskRetried(_ task: ObservedTask, error: FlowError, delay: Duration) {}
    /// Does nothing.
    public func tasksReturned(_ count: Int, toQueueOf batch: Name?) {}
    /// Does nothing.
    public func taskThrottled(_ task: ObservedTask, by limit: RateLimitKey, throttle: FlowThrottle) {}
    /// Does nothing.
    public func taskLeased(batch: Name, index: Int, generation: Int) {}
    /// Does nothing.
    public func connectionChanged(to state: WorkerConnectionState) {}
}
