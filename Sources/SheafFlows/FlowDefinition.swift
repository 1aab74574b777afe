package import Logging
import OrderedCollections
public import SheafCore

/// A flow under its name, with the rules that apply to each of its tasks.
public struct FlowDefinition: Sendable {
    /// The name that batches refer to.
    public var name: Name
    /// The flow that is run.
    public var flow: any Flow {
        didSet { (serialFlow, bulkFlow) = (flow as? any SerialFlow, flow as? any BulkFlow) }
    }
    /// The same flow if it may be handed several tasks at once; looked up once, since each task asks for it.
    package private(set) var serialFlow: (any SerialFlow)?
    /// The same flow if it gives many tasks to a provider as one job.
    package private(set) var bulkFlow: (any BulkFlow)?
    /// How long one attempt may take; nil means without a limit.
    public var timeout: Duration?
    /// How often a task is retried after a retryable failure.
    public var retries: Int
    /// Which failures are retried, and after how long.
    public var retryRule: RetryRule
    /// Default values for templates and programs, which a batch's parameters override: an object.
    public var parameters: JSONValue
    /// The rate limit that the flow shares with others; nil if it has no rate and shares its service with no other
    /// flow.
    public var rateLimit: FlowRateLimit?
    /// How long a task's question waits for its answer; nil means as long as the task may run.
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
        self.bulkFlow = flow as? any BulkFlow
        self.timeout = timeout
        self.retries = retries
        self.retryRule = retryRule
        self.parameters = parameters
        self.rateLimit = rateLimit
        self.answerTimeout = answerTimeout
    }

    /// The limit that tasks of this flow wait for when its service asks for a pause.
    package var rateLimitKey: RateLimitKey { rateLimit?.key ?? .flow(name) }

    /// The definition of what a task runs as that is not submitted with others.
    package var single: FlowDefinition {
        guard let bulkFlow, let submitting = bulkFlow as? any SubmittingFlow, submitting.liveAge != nil else {
            return self
        }
        var definition = self
        definition.flow = submitting.liveFlow
        return definition
    }

    /// How often a task is retried by default.
    public static let defaultRetries = 2

    /// Returns the definition with its flow writing to this log.
    package func logging(to logger: Logger) -> FlowDefinition {
        var definition = self
        if var flow = definition.flow as? any LoggingFlow {
            flow.logger = logger
            definition.flow = flow
        }
        return definition
    }
}

/// How an attempt ended.
package enum AttemptResult: Sendable, Equatable {
    /// The flow returned an output.
    case success(FlowOutput)
    /// The flow failed, or took too long.
    case failure(FlowError)
    /// The calling task was cancelled, and the flow ended because of it.
    case cancelled
    /// The service that the flow calls asks for a pause, so this does not count as an attempt.
    case throttled(FlowThrottle)

    /// Whether there is an output.
    package var isSuccess: Bool {
        if case .success = self { true } else { false }
    }

    /// Interprets an error that a flow threw in the current task.
    init(failure error: any Error) {
        if Task.isCancelled {
            self = .cancelled
        } else if let throttle = error as? FlowThrottle {
            self = .throttled(throttle)
        } else {
            self = .failure(error as? FlowError ?? FlowError(wrapping: error))
        }
    }

    /// Takes over what a flow reported for one task.
    init(_ result: Result<FlowOutput, FlowError>) {
        switch result {
        case .success(let output): self = .success(output)
        case .failure(let error): self = .failure(error)
        }
    }
}

extension FlowDefinition {
    /// Runs one attempt within the time-out, and never throws.
    ///
    /// If the time-out passes or the calling task is cancelled, the flow is cancelled and waited for. An error that is
    /// no ``FlowError`` becomes one with the name of its type.
    ///
    /// - Parameters:
    ///   - task: What to work on; the default parameters are added to it.
    ///   - clock: Measures the time-out.
    /// - Returns: The output, the error, that the service asks for a pause, or that the calling task was cancelled. An
    ///   attempt that took too long is an error of type ``FlowError/timeoutType``, which may be retried.
    @concurrent
    package func attempt(
        _ task: FlowTask,
        clock: any Clock<Duration> = ContinuousClock()
    ) async -> AttemptResult {
        var task = withDefaults(task)
        let result: AttemptResult?
        if let timeout {
            task.deadline = .now + timeout
            result = await run(task, within: timeout, clock)
        } else {
            result = await run(task)
        }
        return result ?? .failure(overdue)
    }

    /// The error of an attempt that took too long.
    var overdue: FlowError {
        let message = "ran longer than \(timeout?.inWords ?? "allowed")"
        return FlowError(type: FlowError.timeoutType, message: message, isRetryable: true)
    }

    /// Returns the task with the default parameters for those that it does not set.
    func withDefaults(_ task: FlowTask) -> FlowTask {
        guard let defaults = parameters.objectValue else { return task }
        var task = task
        switch task.parameters.objectValue {
        case let own? where defaults.isEmpty: task.parameters = .object(own)
        case let own? where !own.isEmpty: task.parameters = .object(defaults.merging(own) { $1 })
        default: task.parameters = .object(defaults)
        }
        return task
    }

    /// Runs the flow; returns nil if the time passed.
    private func run(_ task: FlowTask, within timeout: Duration, _ clock: any Clock<Duration>) async -> AttemptResult? {
        await withTaskGroup(of: AttemptResult?.self) { group in
            group.addTask { await self.run(task) }
            group.addTask {
                // Sleeping ends early when the flow is done or the caller is cancelled; the flow's answer counts then.
                try? await clock.sleep(for: timeout)
                return nil
            }
            var first = await group.next() ?? nil
            if first == nil, Task.isCancelled { first = await group.next() ?? nil }
            group.cancelAll()
            return first
        }
    }

    private func run(_ task: FlowTask) async -> AttemptResult {
        do {
            return .success(try await flow.run(task))
        } catch {
            return AttemptResult(failure: error)
        }
    }
}

extension Duration {
    /// The duration in seconds, or in milliseconds if it is not an integer number of seconds.
    fileprivate var inWords: String {
        let (seconds, attoseconds) = components
        return attoseconds == 0 ? "\(seconds) s" : "\(seconds * 1000 + attoseconds / 1_000_000_000_000_000) ms"
    }
}
