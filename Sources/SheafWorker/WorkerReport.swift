import SheafBatches
public import SheafCore

/// What a worker did.
public struct WorkerReport: Sendable, Equatable {
    /// Tasks that succeeded.
    public var succeeded = 0
    /// Tasks that failed for good.
    public var failed = 0
    /// Attempts that failed and are to be tried again.
    public var retried = 0
    /// Tasks given back unfinished.
    public var returned = 0
    /// How often a queue gave nothing for so long, though the broker could be reached, that something must be broken.
    public var broken = 0
    /// Batches of which only tasks are left that the broker has lost.
    public var missing: [Name] = []
    /// Batches that were never published in full and whose creator is gone.
    public var interrupted: [Name] = []

    /// Tasks that ended.
    public var finished: Int { succeeded + failed }
}
