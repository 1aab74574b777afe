import SheafCore

extension BatchSummary {
    /// What the state of the batch means for somebody who waited for it.
    var verdict: ExitReason {
        switch status {
        case .cancelled: .cancelled
        case .failed: .unsuccessful
        case .completed: counts.failed > 0 ? .unsuccessful : .success
        case .pending, .processing, .paused: lacksCreator ? .unsuccessful : .success
        }
    }

    /// Whether it can not end by itself, because its creator is gone before everything was published.
    var lacksCreator: Bool { isInterrupted && record.cancelled == nil && record.ending == nil }
}
