import SheafCore

/// Returns the record as its output, for trials and benchmarks.
public struct EchoFlow: SerialFlow {
    /// Makes the flow.
    public init() {}

    /// How many tasks it may be handed at once: it waits for nothing.
    public var groupSize: Int { 64 }

    /// Returns the records.
    public func run(
        _ tasks: ArraySlice<FlowTask>,
        more: @Sendable (Int) -> [FlowTask],
        ended: @Sendable (Result<FlowOutput, FlowError>) async -> Void
    ) async throws {
        var tasks = tasks
        while !tasks.isEmpty {
            for task in tasks {
                try Task.checkCancellation()
                var bytes: [UInt8] = []
                task.record.writeJSON(to: &bytes)
                await ended(.success(.json(bytes)))
            }
            tasks = more(groupSize)[...]
        }
    }
}
