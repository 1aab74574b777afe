/// How an attempt ended.
public enum AttemptResult: Sendable, Equatable {
    /// The flow returned an output.
    case success(FlowOutput)
    /// The flow failed, or took too long.
    case failure(FlowError)
    /// The calling task was cancelled, and the flow ended because of it.
    case cancelled
    /// The service that the flow calls wants to be left alone for a while, so that this was no attempt.
    case throttled(FlowThrottle)

    /// Whether there is an output.
    public var isSuccess: Bool {
        if case .success = self { true } else { false }
    }
}
