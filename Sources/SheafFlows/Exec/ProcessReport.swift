/// What was seen of a process until all it started was over.
struct ProcessReport: Sendable {
    /// Standard output, at most as much as allowed.
    var output: [UInt8]
    /// The end of standard error.
    var errors: [UInt8]
    /// Why it was ended, if it did not end by itself.
    var stop: ProcessLifecycle.Stop?
}
