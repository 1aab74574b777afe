/// How an attempt ended.
public enum AttemptResult: Sendable, Equatable {
    /// The flow returned an output.
    case success(FlowOutput)
    /// The flow failed, took too long or was cancelled.
    case failure(FlowError)
    /// The service that the flow calls wants to be left alone for a while, so that this was no attempt.
    case throttled(FlowThrottle)

    /// Whether there is an output.
    public var isSuccess: Bool {
        if case .success = self { true } else { false }
    }
}
