/// Finds where the records of one file begin and end.
///
/// A splitter changes its state only when it returns, so that one that was interrupted by ``WouldWait`` can be asked
/// again.
protocol RecordSplitter {
    /// The next record, or nil at the end; its bytes are in the window until the next call, unless it has a defect.
    mutating func next(in window: ByteWindow) throws -> RecordSpan?
}

/// Says that the next record needs bytes that have not arrived yet.
struct WouldWait: Error {}
