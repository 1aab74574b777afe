/// Which failures of a flow are tried again, and how long each attempt waits.
public struct RetryRule: Sendable, Equatable {
    /// Which failures are tried again.
    public enum Condition: Sendable, Equatable {
        /// Those of which the flow says that they may pass: see ``FlowError/isRetryable``.
        case asTheFlowSays
        /// All but those of records and parameters that can not be read, which no attempt mends.
        case all
        /// None.
        case none
        /// Those of these types, and those of programs that end with one of these exit codes.
        case listed(types: Set<String>, exitCodes: Set<Int>)
    }

    /// Which failures are tried again.
    public var condition: Condition
    /// How long the second attempt waits; each one after that twice as long as the one before.
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

    /// How long the second attempt waits where nothing is said.
    public static let defaultDelay = Duration.seconds(1)
    /// The longest wait where nothing is said.
    public static let defaultMaximumDelay = Duration.seconds(300)

    /// The types of failures of what is no task at all; another attempt would find the same.
    private static let hopeless: Set<String> = ["invalid-record", "parameters"]

    /// Whether a task that failed like this may be tried again.
    public func allows(_ error: FlowError) -> Bool {
        if error.type == FlowError.cancelledType || Self.hopeless.contains(error.type) { return false }
        switch condition {
        case .asTheFlowSays: return error.isRetryable
        case .all: return true
        case .none: return false
        case .listed(let types, let exitCodes):
            return types.contains(error.type) || error.exitCode.map(exitCodes.contains) == true
        }
    }

    /// How long the attempt after this one waits, from 1 on, without jitter.
    public func delay(after attempt: Int) -> Duration {
        // 2^32 times a millisecond is longer than any delay may be.
        min(delay * (1 << min(max(0, attempt - 1), 32)), maximumDelay)
    }
}
