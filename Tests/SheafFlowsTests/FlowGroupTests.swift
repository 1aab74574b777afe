import SheafCore
import Synchronization
import Testing

@testable import SheafFlows

/// Groups of tasks that a serial flow is handed at once.
@Suite(.timeLimit(.minutes(2))) struct FlowGroupTests {
    /// Runs a closure for each task, and notes which tasks it was handed together.
    private struct RecordingFlow: SerialFlow {
        let groupSize = 64
        let handed: @Sendable ([Int]) -> Void
        let body: @Sendable (FlowTask) async throws -> Result<FlowOutput, FlowError>

        func run(
            _ tasks: ArraySlice<FlowTask>,
            more: @Sendable (Int) -> [FlowTask],
            ended: @Sendable (Result<FlowOutput, FlowError>) async -> Void
        ) async throws {
            handed(tasks.map(\.index))
            for task in tasks { await ended(try await body(task)) }
        }
    }

    private final class Notes: Sendable {
        let groups = Mutex<[[Int]]>([])
        let results = Mutex<[AttemptResult]>([])
    }

    /// Attempts tasks 0, 1 and so on, and those again that have not begun, unless cancelled; returns the results, and
    /// the groups that the flow was handed.
    private func attempts(
        _ count: Int,
        timeout: Duration? = nil,
        parameters: JSONValue = [:],
        _ body: @escaping @Sendable (FlowTask) async throws -> Result<FlowOutput, FlowError>
    ) async throws -> (results: [AttemptResult], groups: [[Int]]) {
        let notes = Notes()
        let flow = RecordingFlow(handed: { group in notes.groups.withLock { $0.append(group) } }, body: body)
        let definition = FlowDefinition(
            name: try FlowFixtures.name("f"),
            flow: flow,
            timeout: timeout,
            parameters: parameters
        )
        let tasks = try (0..<count).map { try FlowFixtures.task(json: "{}", index: $0) }
        while true {
            let rest = Array(tasks.dropFirst(notes.results.withLock { $0.count }))
            if rest.isEmpty || Task.isCancelled { break }
            await definition.attempt(rest) { result in notes.results.withLock { $0.append(result) } }
        }
        return (notes.results.withLock { $0 }, notes.groups.withLock { $0 })
    }

    private static let failure = FlowError(type: "mine", message: "no")

    @Test("Results are reported in the order of the tasks", arguments: [nil, Duration.seconds(60)])
    func order(timeout: Duration?) async throws {
        let seen = try await attempts(4, timeout: timeout, parameters: ["lang": "en"]) { task in
            task.index == 2
                ? .failure(Self.failure) : .success(.value(["n": .number("\(task.index)"), "p": task.parameters]))
        }
        let outputs = [0, 1, 3].map { AttemptResult.success(.value(["n": .number("\($0)"), "p": ["lang": "en"]])) }
        #expect(seen.results == [outputs[0], outputs[1], .failure(Self.failure), outputs[2]])
        #expect(seen.groups == [[0, 1, 2, 3]])
    }

    @Test("What ends a run is the result of one task only")
    func endOfRun() async throws {
        let seen = try await attempts(5) { task in
            if task.index == 1 { throw Self.failure }
            if task.index == 3 { throw FlowThrottle(delay: .seconds(1), message: "429") }
            return .success(.text("\(task.index)"))
        }
        let throttled = AttemptResult.throttled(FlowThrottle(delay: .seconds(1), message: "429"))
        #expect(
            seen.results == [
                .success(.text("0")), .failure(Self.failure), .success(.text("2")), throttled, .success(.text("4")),
            ]
        )
        #expect(seen.groups == [[0, 1, 2, 3, 4], [2, 3, 4], [4]])
    }

    @Test("Only the task that takes too long fails")
    func timeout() async throws {
        let seen = try await attempts(3, timeout: .milliseconds(300)) { task in
            if task.index == 1 { try await Task.sleep(for: .seconds(100)) }
            return .success(.text("\(task.index)"))
        }
        #expect(seen.results.map(\.isSuccess) == [true, false, true])
        let overdue = FlowError(type: "timeout", message: "ran longer than 300 ms", isRetryable: true)
        #expect(seen.results[1] == .failure(overdue))
        #expect(seen.groups == [[0, 1, 2], [2]])
    }

    @Test("Each task of a group has the whole time-out")
    func wholeTimeout() async throws {
        let seen = try await attempts(4, timeout: .seconds(2)) { task in
            try await Task.sleep(for: .milliseconds(600))
            return .success(.text("\(task.index)"))
        }
        #expect(seen.results.map(\.isSuccess) == [true, true, true, true])
        #expect(seen.groups.count == 1)
    }

    @Test("A cancel ends the running task, and those after it have not begun", arguments: [nil, Duration.seconds(60)])
    func cancel(timeout: Duration?) async throws {
        let (begun, bell) = AsyncStream.makeStream(of: Void.self)
        let all = Task {
            try await attempts(4, timeout: timeout) { task in
                if task.index == 1 {
                    bell.yield()
                    try await Task.sleep(for: .seconds(100))
                }
                return .success(.text("\(task.index)"))
            }
        }
        for await _ in begun { break }
        all.cancel()
        let seen = try await all.value
        #expect(seen.results == [.success(.text("0")), .cancelled], "the tasks after it have not begun")
        #expect(seen.groups == [[0, 1, 2, 3]])
    }

    @Test("A flow without any report fails the first task, and extra reports are ignored")
    func reports() async throws {
        struct Odd: SerialFlow {
            let groupSize = 64
            let answers: Int

            func run(
                _ tasks: ArraySlice<FlowTask>,
                more: @Sendable (Int) -> [FlowTask],
                ended: @Sendable (Result<FlowOutput, FlowError>) async -> Void
            ) async throws {
                for number in 0..<answers { await ended(.success(.text("\(number)"))) }
            }
        }
        for (answers, expected) in [(0, ["no-result"]), (1, ["0"]), (5, ["0", "1", "2"])] {
            let definition = FlowDefinition(name: try FlowFixtures.name("f"), flow: Odd(answers: answers))
            let tasks = try (0..<3).map { try FlowFixtures.task(json: "{}", index: $0) }
            let notes = Notes()
            await definition.attempt(tasks) { result in notes.results.withLock { $0.append(result) } }
            let words = notes.results.withLock { results in
                results.map { result in
                    switch result {
                    case .success(.text(let text)): text
                    case .failure(let error): error.type
                    default: "\(result)"
                    }
                }
            }
            #expect(words == expected)
        }
    }

    @Test("A plain flow gets the tasks of a group one after the other")
    func plainFlow() async throws {
        struct Single: Flow {
            func run(_ task: FlowTask) async throws -> FlowOutput {
                if task.index == 1 { throw FlowGroupTests.failure }
                return .text("\(task.index)")
            }
        }
        let definition = FlowDefinition(name: try FlowFixtures.name("f"), flow: Single())
        #expect(definition.serialFlow == nil)
        let tasks = try (0..<3).map { try FlowFixtures.task(json: "{}", index: $0) }
        let notes = Notes()
        await definition.attempt(tasks) { result in notes.results.withLock { $0.append(result) } }
        #expect(
            notes.results.withLock { $0 } == [.success(.text("0")), .failure(Self.failure), .success(.text("2"))]
        )
    }

    @Test("A definition knows whether its current flow is serial")
    func serialFlow() throws {
        var definition = FlowDefinition(name: try FlowFixtures.name("f"), flow: try ExecFlow(["true"]))
        #expect(definition.serialFlow == nil)
        definition.flow = try ProcessFlow(["cat"])
        #expect(definition.serialFlow?.groupSize == 1)
        definition.flow = EchoFlow()
        #expect(definition.serialFlow == nil)
        definition.flow = RecordingFlow(handed: { _ in }) { _ in .success(.text("")) }
        #expect(definition.serialFlow?.groupSize == 64)
    }
}
