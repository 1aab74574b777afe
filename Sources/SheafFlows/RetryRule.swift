/// Which failures of a flow are retried, and how long each retry waits.
public struct RetryRule: Sendable, Equatable {
    /// Which failures are retried.
    public enum Condition: Sendable, Equatable {
        /// Those that the flow itself calls retryable: see ``FlowError/isRetryable``.
        case asTheFlowSays
        /// All except invalid records and parameters, which fail the same way every time.
        case all
        /// None.
        case none
        /// Those of these types, and those of programs that end with one of these exit codes.
        case listed(types: Set<String>, exitCodes: Set<Int>)
    }

    /// Which failures are retried.
    public var condition: Condition
    /// How long the first retry waits; each further one waits twice as long as the one before.
    public var delay: Duration
    /// The longest wait.
    public var maximumDelay: Duration

    /// Makes a rule.
    public init(
        on condition: Condition = .asTheFlowSays,
        delay: Duration = RetryRule.defaultDelay,
        maximumDelay: Duration = RetryRule.defaultMaximumDelay
    ) {
        self.condition = condition
        self.delay = delay
        self.maximumDelay = maximumDelay
    }

    /// How long the first retry waits by default.
    public static let defaultDelay = Duration.seconds(1)
    /// The longest wait by default.
    public static let defaultMaximumDelay = Duration.seconds(300)

    /// The types that are never retried: the task is not wanted, or would fail the same way.
    private static let finalTypes: Set<String> = [
        FlowError.cancelledType, FlowError.invalidRecordType, FlowError.parametersType,
    ]

    /// Returns whether a task that failed with this error may be retried.
    package func allows(_ error: FlowError) -> Bool {
        if Self.finalTypes.contains(error.type) { return false }
        switch condition {
        case .asTheFlowSays: return error.isRetryable
        case .all: return true
        case .none: return false
        case .listed(let types, let exitCodes):
            return types.contains(error.type) || error.exitCode.map(exitCodes.contains) == true
        }
    }

    /// Returns how long the retry after a failed attempt waits, with jitter.
    ///
    /// The jitter shortens the wait by up to a quarter, so that tasks that failed together do not all return together.
    ///
    /// - Parameters:
    ///   - attempt: The number of the attempt that failed, from 1.
    ///   - generator: The source of the jitter.
    package func delay(attempt: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        delay(after: attempt) * Double.random(in: 0.75...1, using: &generator)
    }

    /// Returns how long the retry after a failed attempt waits, without jitter.
    ///
    /// - Parameter attempt: The number of the attempt that failed, from 1.
    package func delay(after attempt: Int) -> Duration {
        // 2^32 times a millisecond is longer than any delay may be.
        min(delay * (1 << min(max(0, attempt - 1), 32)), maximumDelay)
    }
}
