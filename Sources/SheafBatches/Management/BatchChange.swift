public import SheafCore

/// What became of a batch that somebody wanted to be paused or to go on.
public struct BatchChange: Sendable, Equatable {
    /// Where it stands now.
    public var batch: BatchSummary
    /// False where it was so already.
    public var hasChanged: Bool

    /// Makes a change.
    public init(batch: BatchSummary, hasChanged: Bool) {
        self.batch = batch
        self.hasChanged = hasChanged
    }
}
