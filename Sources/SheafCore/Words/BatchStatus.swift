/// Where a batch stands.
public enum BatchStatus: String, Sendable, CaseIterable {
    /// No task has started.
    case pending
    /// Tasks run or have run.
    case processing
    /// Somebody has halted it for now.
    case paused
    /// Every task has an outcome; failures are counted, not hidden.
    case completed
    /// Halted by its error policy or a fatal error.
    case failed
    /// Ended by a cancel.
    case cancelled

    /// Whether nothing more will happen unless somebody steps in.
    public var isFinal: Bool { self == .completed || self == .failed || self == .cancelled }
}
