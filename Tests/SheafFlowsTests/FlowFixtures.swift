import SheafCore
import Testing

@testable import SheafFlows

/// Tasks and processes for the tests of flows.
enum FlowFixtures {
    static func name(_ text: String) throws -> Name { try #require(Name(text)) }

    static func task(
        json: String,
        id: String = "r1",
        parameters: JSONValue = [:],
        index: Int = 7,
        attempt: Int = 1
    ) throws -> FlowTask {
        FlowTask(
            batch: try name("b1"),
            index: index,
            record: Record(id: id, kind: .json, bytes: Array(json.utf8)),
            parameters: parameters,
            attempt: attempt
        )
    }

    static func task(text: String, id: String = "r1") throws -> FlowTask {
        FlowTask(batch: try name("b1"), index: 7, record: Record(id: id, kind: .text, bytes: Array(text.utf8)))
    }

    static func task(bytes: [UInt8]) throws -> FlowTask {
        FlowTask(batch: try name("b1"), index: 7, record: Record(id: "r1", kind: .binary, bytes: bytes))
    }

    /// Runs a command for an empty record.
    static func run(_ command: String...) async throws -> FlowOutput {
        try await ExecFlow(command).run(task(json: "{}"))
    }

    /// Returns the error that a command ends with.
    static func failure(_ command: String...) async throws -> FlowError {
        let flow = try ExecFlow(command)
        let task = try task(json: "{}")
        return try #require(await #expect(throws: FlowError.self) { try await flow.run(task) })
    }

    /// Makes a flow that gives processes little time to end.
    static func impatient(_ command: [String], termination: Duration = .milliseconds(150)) throws -> ExecFlow {
        var flow = try ExecFlow(command)
        flow.patience.termination = termination
        flow.patience.output = .milliseconds(200)
        flow.patience.stragglers = .milliseconds(100)
        return flow
    }
}
