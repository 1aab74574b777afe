import Foundation
import SheafCore
import Synchronization
import Testing

@testable import SheafFlows

/// A child that is handed several tasks at once.
@Suite(.timeLimit(.minutes(3))) struct ProcessFlowGroupTests {
    private enum Unexpected: Error {
        case result(AttemptResult)
    }

    /// Attempts tasks with the records 0, 1 and so on together, and those again that have not begun, with a flow that
    /// has measured nothing but short tasks.
    private func attempts(_ flow: ProcessFlow, _ count: Int, timeout: Duration? = nil) async throws -> [AttemptResult] {
        let definition = FlowDefinition(name: try FlowFixtures.name("f"), flow: flow, timeout: timeout)
        let tasks = try (0..<count).map { try FlowFixtures.task(json: "\($0)", index: $0) }
        let results = Mutex<[AttemptResult]>([])
        while true {
            let rest = Array(tasks.dropFirst(results.withLock { $0.count }))
            if rest.isEmpty { break }
            prime(flow)
            await definition.attempt(rest) { result in results.withLock { $0.append(result) } }
        }
        await flow.shutDown()
        return results.withLock { $0 }
    }

    /// Returns the records and the children that answered `[record, process id]`, in the order of the answers.
    private func answers(_ results: [AttemptResult]) throws -> [(record: Int?, child: Int?)] {
        try results.map { result in
            guard case .success(let output) = result else { return (nil, nil) }
            let answer = try JSON.parse(output.json)
            return (answer.arrayValue?[0].intValue, answer.arrayValue?[1].intValue)
        }
    }

    private func prime(_ flow: ProcessFlow) {
        for _ in 0..<TaskPace.memory { flow.pool.note(.zero) }
    }

    private static let reply = #"reply(task_id=task["task_id"], output=[task["record"], os.getpid()])"#

    @Test("One child answers the tasks of a group in their order")
    func order() async throws {
        let answers = try answers(await attempts(try Children.flow(Self.reply), 50))
        #expect(answers.map(\.record) == Array(0..<50))
        #expect(Set(answers.map(\.child)).count == 1)
    }

    @Test("A reported failure is that of its task only")
    func failure() async throws {
        let flow = try Children.flow(
            """
            if task["record"] == 3: reply(task_id=task["task_id"], error="no")
            else: reply(log="hm"); \(Self.reply)
            """
        )
        let results = try await attempts(flow, 6)
        #expect(results[3] == .failure(FlowError(type: "error", message: "no")))
        let answers = try answers(results)
        #expect(answers.map(\.record) == [0, 1, 2, nil, 4, 5])
        #expect(Set(answers.compactMap(\.child)).count == 1)
    }

    @Test("The task that crashes a child fails, and the others go to another child")
    func crash() async throws {
        let flow = try Children.flow(
            """
            if task["record"] in (3, 4): os._exit(7)
            \(Self.reply)
            """
        )
        let results = try await attempts(flow, 8)
        for result in results[3...4] {
            guard case .failure(let error) = result else { throw Unexpected.result(result) }
            #expect(error.type == "process-ended" && error.isRetryable && error.message.contains("exit code 7"))
        }
        let answers = try answers(results)
        #expect(answers.map(\.record) == [0, 1, 2, nil, nil, 5, 6, 7])
        #expect(Set(answers.compactMap(\.child)).count == 2)
    }

    @Test("A second answer to a task is not taken for the answer to the next")
    func secondAnswer() async throws {
        let flow = try Children.flow(
            """
            if task["record"] == 2: \(Self.reply)
            \(Self.reply)
            """
        )
        let answers = try answers(await attempts(flow, 6))
        #expect(answers.map(\.record) == Array(0..<6), "nor is the next task blamed for it")
        #expect(Set(answers.map(\.child)).count == 2)
    }

    @Test("An answer to an unknown task fails the task whose turn it is")
    func unknownTask() async throws {
        let flow = try Children.flow(
            """
            if task["record"] == 3: reply(task_id="f:99", output=1)
            \(Self.reply)
            """
        )
        let results = try await attempts(flow, 6)
        guard case .failure(let error) = results[3] else { throw Unexpected.result(results[3]) }
        #expect(error.type == "protocol" && error.message.contains("task_id"))
        #expect(try answers(results).map(\.record) == [0, 1, 2, nil, 4, 5])
    }

    /// Hands tasks over as a worker does, while the child still has some.
    @Test("A child is handed more tasks while it answers")
    func refill() async throws {
        let flow = try Children.flow(
            """
            if task["record"] == 700: os._exit(7)
            \(Self.reply)
            """
        )
        prime(flow)
        let definition = FlowDefinition(name: try FlowFixtures.name("f"), flow: flow)
        let tasks = try (0..<1_000).map { try FlowFixtures.task(json: "\($0)", index: $0) }
        let results = Mutex<[AttemptResult]>([])
        let next = Mutex(0)
        let longest = Mutex(0)
        while results.withLock({ $0.count }) <= 700 {
            // If an answer took long because the machine is busy, the run ends early, and the rest counts as not begun.
            let first = results.withLock { $0.count }
            next.withLock { $0 = first + 10 }
            prime(flow)
            await definition.attempt(Array(tasks[first..<first + 10])) { count in
                next.withLock { next in
                    defer { next = min(tasks.count, next + count) }
                    return Array(tasks[next..<min(tasks.count, next + count)])
                }
            } ended: { result in
                results.withLock { $0.append(result) }
            }
            let run = results.withLock { $0.count } - first
            longest.withLock { $0 = max($0, run) }
        }
        await flow.shutDown()
        let heard = try answers(results.withLock { $0 })
        #expect(
            heard.map(\.record) == (0..<700).map { $0 } + [nil],
            "tasks after the one that ended the run are not reported"
        )
        #expect(longest.withLock { $0 } > 10)
        #expect(Set(heard.compactMap(\.child)).count == 1)
    }

    @Test("A child whose answers do not name their task gets one task at a time")
    func answersWithoutID() async throws {
        let flow = try Children.flow(
            """
            if task["record"] == 2: reply(output=[2, os.getpid()])
            else: \(Self.reply)
            """
        )
        let answers = try answers(await attempts(flow, 6))
        #expect(answers.map(\.record) == Array(0..<6))
        #expect(Set(answers.map(\.child)).count == 2, "an answer that may be to another task does not count")
        prime(flow)
        #expect(flow.groupSize == 1)
    }

    @Test("Answers before a line that is too long count")
    func longLine() async throws {
        let flow = try Children.flow(
            """
            if task["record"] == 5: reply(task_id=task["task_id"], output="x" * 20_000)
            else: \(Self.reply)
            """,
            maximumOutput: 8 << 10
        )
        let results = try await attempts(flow, 10)
        guard case .failure(let error) = results[5] else { throw Unexpected.result(results[5]) }
        #expect(error.type == "output-too-large")
        #expect(try answers(results).map(\.record) == [0, 1, 2, 3, 4, nil, 6, 7, 8, 9])
    }

    @Test("A killed child does not run the tasks in its input")
    func killedChild() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-group-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let log = folder.appending(path: "log").path
        // It ignores SIGTERM, and would go on with the tasks that it was handed.
        let flow = try Children.flow(
            """
            import signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            with open("\(log)", "a") as log: print(task["record"], file=log)
            if task["record"] == 2: print("rubbish", flush=True); time.sleep(20)
            \(Self.reply)
            """
        )
        let results = try await attempts(flow, 8)
        guard case .failure(let error) = results[2] else { throw Unexpected.result(results[2]) }
        #expect(error.type == "protocol")
        #expect(try answers(results).map(\.record) == [0, 1, nil, 3, 4, 5, 6, 7])
        let run = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").compactMap { Int($0) }
        #expect(run == Array(0..<8), "each task ran once")
    }

    @Test("A child may exit between two tasks")
    func exitBetweenTasks() async throws {
        let flow = try Children.flow(
            """
            served = globals().get("served", 0) + 1
            \(Self.reply)
            if served == 3: sys.exit()
            """
        )
        let answers = try answers(await attempts(flow, 10))
        #expect(answers.map(\.record) == Array(0..<10), "its exit fails no task")
        #expect(Set(answers.map(\.child)).count == 4)
    }

    @Test("A child that exits without any answer fails the task")
    func exitWithoutAnswer() async throws {
        let results = try await attempts(try Children.flow("sys.exit()"), 3)
        for result in results {
            guard case .failure(let error) = result else { throw Unexpected.result(result) }
            #expect(error.type == "process-ended")
        }
        #expect(results.count == 3)
    }

    @Test("A child is replaced after its maximum number of tasks")
    func maximumTasks() async throws {
        let answers = try answers(await attempts(try Children.flow(Self.reply, maximumTasks: 4), 10))
        #expect(answers.map(\.record) == Array(0..<10))
        let children = answers.map(\.child)
        #expect(Set(children).count == 3)
        #expect(Set(children[..<4]).count == 1 && Set(children[4..<8]).count == 1 && Set(children[8...]).count == 1)
    }

    @Test("Only the task that hangs runs into the time-out")
    func timeout() async throws {
        let flow = try Children.flow(
            """
            if task["record"] == 2: time.sleep(100)
            \(Self.reply)
            """
        )
        let results = try await attempts(flow, 5, timeout: .seconds(10))
        let overdue = FlowError(type: "timeout", message: "ran longer than 10 s", isRetryable: true)
        #expect(results[2] == .failure(overdue))
        #expect(try answers(results).map(\.record) == [0, 1, nil, 3, 4])
    }

    @Test("Groups that are larger than the pipe are passed on")
    func largeLines() async throws {
        let flow = try Children.flow(#"reply(task_id=task["task_id"], output=len(task["record"]))"#)
        prime(flow)
        let text = String(repeating: "x", count: 200_000)
        let tasks = try (0..<20).map { _ in try FlowFixtures.task(text: text) }
        let lengths = Mutex<[[UInt8]]>([])
        try await flow.run(tasks[...], more: { _ in [] }) { result in
            if case .success(let output) = result { lengths.withLock { $0.append(output.json) } }
        }
        #expect(lengths.withLock { $0 } == Array(repeating: Array("200000".utf8), count: 20))
        await flow.shutDown()
    }

    @Test("Groups form if tasks are short, and end if the child writes to standard error")
    func groupSize() async throws {
        let log = LogLines()
        var flow = try Children.flow(
            """
            if task["record"] == "aloud": print("a word", file=sys.stderr, flush=True)
            \(Self.reply)
            """
        )
        flow.logger = log.logger
        #expect(flow.groupSize == 1)
        // A busy machine may need more than those that are looked back at.
        while flow.groupSize < 2 { _ = try await flow.run(FlowFixtures.task(json: "1")) }
        _ = try await flow.run(FlowFixtures.task(json: #""aloud""#, index: 99))
        while log.lines.isEmpty { await Task.yield() }
        #expect(flow.groupSize == 1, "its messages can be assigned to tasks only if those come one by one")
        #expect(log.lines.contains { $0.hasSuffix(": a word") })
        await flow.shutDown()
    }
}
