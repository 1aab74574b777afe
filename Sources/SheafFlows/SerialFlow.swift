import Synchronization

/// A flow that is faster where it has its next tasks at hand, though it works on one after the other.
///
/// A worker hands such a flow several tasks at once where all of them are likely to be short; each of them still is an attempt
/// of its own, with its own outcome, time-out and failure.
public protocol SerialFlow: Flow {
    /// How many tasks it may be handed at once now, so that the last one does not wait noticeably; at least 1.
    var groupSize: Int { get }

    /// Runs one attempt at each task in turn, at the first one at least; those not heard of count as not begun.
    ///
    /// - Parameters:
    ///   - tasks: What to work on, one after the other.
    ///   - more: Gives tasks to work on after those, so many at most; none where none are at hand, which ends nothing. What it has
    ///     given belongs to the run like the first ones.
    ///   - ended: Hears the output or the failure of each, in their order and as soon as it is there.
    /// - Throws: What the first task that was not heard of has failed with.
    func run(
        _ tasks: ArraySlice<FlowTask>,
        more: @Sendable (Int) -> [FlowTask],
        ended: @Sendable (Result<FlowOutput, FlowError>) async -> Void
    ) async throws
}

extension SerialFlow {
    /// Runs one attempt, at a task by itself.
    public func run(_ task: FlowTask) async throws -> FlowOutput {
        let result = Mutex<Result<FlowOutput, FlowError>?>(nil)
        try await run([task], more: { _ in [] }) { heard in result.withLock { $0 = heard } }
        guard let result = result.withLock({ $0 }) else { throw CancellationError() }
        return try result.get()
    }
}
