import SheafCore

/// Returns the record as its output, for trials and benchmarks.
public struct EchoFlow: Flow {
    /// Makes the flow.
    public init() {}

    /// Returns the record.
    public func run(_ task: FlowTask) async throws -> FlowOutput {
        var bytes: [UInt8] = []
        task.record.writeJSON(to: &bytes)
        return .json(bytes)
    }
}
