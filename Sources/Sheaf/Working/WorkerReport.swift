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
    /// Batches that were never published in full and whose creator is gone.
    public var interrupted: [Name] = []

    /// Tasks that ended.
    public var finished: Int { succeeded + failed }
}
