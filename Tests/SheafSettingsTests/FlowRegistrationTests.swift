import SheafCore
import SheafFlows
import Testing

@testable import SheafSettings

/// A kind of flow that another target could bring: it repeats a word.
private struct RepeatKind: FlowKind {
    struct Repeat: Flow, Equatable {
        let word: String
        let times: Int

        func run(_ task: FlowTask) async throws -> FlowOutput { throw FlowError(type: "x", message: "not run here") }
    }

    let key = "repeat"
    let options = ["times", "max_output"]
    let timeout: Duration? = .seconds(7)

    func read(_ entry: FlowEntry) throws(SettingsError) -> any Flow {
        Repeat(
            word: try entry.value.nonEmptyText("a word"),
            times: try entry.members["times"]?.int(in: 1...9) ?? 1
        )
    }

    func canFail(with type: String) -> Bool { type == "tired" }
}

@Suite struct FlowRegistrationTests {
    private func load(_ flow: String) throws -> Settings {
        var settings: Settings?
        try SettingsFixtures.withFolder("flows:\n  f: { \(flow) }\n") { folder in
            settings = try Settings.load(environment: [:], directory: folder, kinds: .standard.adding(RepeatKind()))
        }
        return try #require(settings)
    }

    @Test("A kind of flow from another target is read with its own keys, time-out and error types")
    func newKind() throws {
        let flow = try load("repeat: ho, times: 3, retry_on: [tired]").flow(named: "f")
        #expect(flow.flow as? RepeatKind.Repeat == RepeatKind.Repeat(word: "ho", times: 3))
        #expect(flow.timeout == .seconds(7))
        #expect(flow.retryRule.condition == .listed(types: ["tired"], exitCodes: []))
        #expect(try load("exec: [cat]").flow(named: "f").flow is ExecFlow)
    }

    @Test(
        "Errors list a new kind of flow and its keys",
        arguments: [
            ("times: 3", "echo: true, swift: true or repeat"),
            ("repeat: ho, times: 10", "flows.f.times: expected an integer from 1 to 9"),
            ("repeet: ho", "flows.f.repeet: unknown key; did you mean 'repeat'?"),
            ("exec: [cat], times: 3", "flows.f.times: only a flow with repeat can have this key"),
            ("exec: [cat], repeat: ho", "it has both exec and repeat"),
            ("repeat: ho, directory: x", "flows.f.directory: only a flow with exec or process can have this key"),
        ]
    )
    func errors(flow: String, message: String) throws {
        let error = try #require(throws: SettingsError.self) { try load(flow) }
        #expect(error.description.contains(message), "\(error)")
    }

    @Test("A swift flow has defaults for its batches and is not a flow of this worker")
    func swiftFlow() throws {
        let settings = try load("swift: true, source: in.jsonl, parameters: { length: 9 }, max_running: 2")
        let flow = try settings.flow(named: "f")
        #expect(flow.isExternal && flow.batch.maxRunning == 2 && flow.parameters == ["length": 9])
        #expect(settings.warnings.isEmpty)
        #expect(settings.definitions.map(\.name.text) == ["echo"])
        let warned = try load("swift: true, timeout: 5s").warnings.map(\.description)
        #expect(
            warned == [
                "sheaf.yaml:2: flows.f.timeout: it has no effect with swift: true; "
                    + "the program that runs the flow sets it"
            ]
        )
        #expect(throws: SettingsError.self) { try load("swift: false") }
    }
}
