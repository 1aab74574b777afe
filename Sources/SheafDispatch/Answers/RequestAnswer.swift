public import SheafCore

/// What became of a request.
public enum RequestAnswer: Sendable, Equatable {
    /// It waits for a batch.
    case waiting
    /// It is in a batch, and its task has no outcome yet.
    case dispatched(batch: Name)
    /// Its task has an outcome.
    case ended(batch: Name, Outcome)
    /// Its batch has ended without an outcome of its task: the batch was cancelled or stopped.
    case cancelled(batch: Name)

    /// Whether nothing more happens to the request, unless its task is retried.
    public var isFinal: Bool {
        switch self {
        case .waiting, .dispatched: false
        case .ended, .cancelled: true
        }
    }

    /// The outcome of its task, if there is one.
    public var outcome: Outcome? {
        if case .ended(_, let outcome) = self { outcome } else { nil }
    }
}
