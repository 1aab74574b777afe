public import SheafCore

/// Which tasks of a batch run again, and which of those asked for do not.
public struct RetryReport: Sendable, Equatable {
    /// Where the batch stands now.
    public var batch: BatchSummary
    /// How many tasks run again; 0 where there was nothing to run, and then nothing has changed.
    public var retried = 0
    /// The generation they run for.
    public var generation: Int
    /// Failed tasks that are left out because their record could not be read: there is nothing to run.
    public var invalid = 0
    /// Tasks that are left out because their record is not to be had: no outcome or input has it.
    public var withoutRecord = 0
    /// Tasks that were named and did not fail.
    public var unaffected = 0

    /// Makes a report.
    public init(batch: BatchSummary, generation: Int) {
        self.batch = batch
        self.generation = generation
    }
}
