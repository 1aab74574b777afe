import SheafBroker
public import SheafCore
public import SheafFlows

/// Identifies one attempt at a task to a ``WorkerObserver``.
///
/// It refers to what the worker knows of the task, so making and copying one costs a reference.
public struct ObservedTask: Sendable {
    private let assignment: Assignment

    init(_ assignment: Assignment) { self.assignment = assignment }

    /// The flow that runs it.
    public var flow: Name { assignment.task.flow }
    /// The batch it belongs to.
    public var batch: Name { assignment.task.batch }
    /// Its number within the batch, from 0.
    public var index: Int { assignment.task.index }
    /// The generation it runs for: 0, and one more each time the batch is retried.
    public var generation: Int { assignment.task.generation }
    /// The number of this attempt, from 1, including those whose worker was lost.
    public var attempt: Int { assignment.attempts }
    /// Whether the broker has delivered this attempt before: a worker returned the task or was lost.
    public var isRedelivered: Bool { assignment.delivery.earlierDeliveries > 0 }
    /// When its batch was created, by the clock of the creator.
    public var batchCreatedAt: Timestamp { assignment.info.createdAt }
    /// The place of its creation in a trace, or nil if that is not traced.
    public var trace: TraceContext? { assignment.task.trace }
}

/// What a worker holds at one point in time.
public struct WorkerLoad: Sendable, Hashable {
    /// The number of tasks that it can run at once.
    public let slots: Int
    /// The number of tasks that it is running, by flow; flows without any are left out.
    public let running: [Name: Int]
    /// The rate limits that tasks of this worker wait for.
    public let awaitedLimits: Set<RateLimitKey>
    /// Whether it takes no more tasks.
    public let isLeaving: Bool
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
    /// Returns the place in a trace that the flow passes on, just before ``taskBegan(_:)``; by default that of the task.
    ///
    /// It is asked only for tasks whose creation was traced.
    func traceContext(for task: ObservedTask) -> TraceContext?
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
    /// Outcomes were written to a results log and confirmed by the broker, so long after the first try to write them.
    func outcomesConfirmed(_ count: Int, after duration: Duration)
    /// The worker looked at what it holds, which it does several times a second even while the broker does not answer.
    func loadMeasured(_ load: WorkerLoad)
}

extension WorkerObserver {
    /// Returns the place of the task's creation.
    public func traceContext(for task: ObservedTask) -> TraceContext? { task.trace }
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
    /// Does nothing.
    public func outcomesConfirmed(_ count: Int, after duration: Duration) {}
    /// Does nothing.
    public func loadMeasured(_ load: WorkerLoad) {}
}
