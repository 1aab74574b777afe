import Foundation
import SheafCore
import Testing

@testable import SheafFlows

/// A child that misbehaves: the task fails with a clear message each time, and the next task succeeds.
@Suite(.timeLimit(.minutes(2))) struct ProcessFlowFailureTests {
    /// Returns the error for a record `"bad"`; a record `"good"` before it and after it is answered.
    private func failure(_ misdeed: String, maximumOutput: Int = 1 << 20) async throws -> FlowError {
        let flow = try Children.flow(
            """
            if task["record"] == "good": reply(output="fine")
            else:
                \(misdeed)
            """,
            maximumOutput: maximumOutput
        )
        let (good, bad) = (try FlowFixtures.task(json: #""good""#), try FlowFixtures.task(json: #""bad""#))
        #expect(try await flow.run(good) == .json(Array(#""fine""#.utf8)))
        let error = try #require(await #expect(throws: FlowError.self) { try await flow.run(bad) })
        #expect(try await flow.run(good) == .json(Array(#""fine""#.utf8)))
        await flow.shutDown()
        return error
    }

    @Test("A line that is no JSON fails the task")
    func noJSON() async throws {
        let error = try await failure("print('hello', flush=True)")
        #expect(error.type == "protocol" && !error.isRetryable)
        #expect(error.message.hasPrefix("the program printed 'hello', which is no reply: a reply is one line of JSON"))
    }

    @Test("JSON that is no reply fails the task", arguments: ["{}", "[1]", #"{\"outptu\": 1}"#, "nan"])
    func jsonThatIsNoReply(line: String) async throws {
        #expect(try await failure("print(\"\(line)\", flush=True)").type == "protocol")
    }

    @Test("An answer to another task fails the task")
    func answersForAnotherTask() async throws {
        let error = try await failure("reply(task_id='b1:6', output=1)")
        #expect(error.type == "protocol")
        #expect(error.message.contains(#"answered with the task_id "b1:6", but its task is 'b1:7'"#))
    }

    @Test("A child that exits fails the task, which may be retried")
    func exitsWithACode() async throws {
        let error = try await failure("print('sorry', file=sys.stderr, flush=True); sys.exit(3)")
        #expect(error.type == "process-ended" && error.isRetryable)
        #expect(
            error.message == "the program ended with exit code 3 before it answered: sorry"
        )
    }

    @Test("A child that dies by a signal fails the task")
    func diesBySignal() async throws {
        let error = try await failure("os.kill(os.getpid(), 9)")
        #expect(error.type == "process-ended" && error.isRetryable)
        #expect(error.message.contains("was ended by signal 9 (SIGKILL)"))
    }

    @Test("A child that closes its output fails the task")
    func closesItsOutput() async throws {
        let error = try await failure("os.close(1); time.sleep(60)")
        #expect(error.type == "process-ended")
    }

    @Test("The end of a child is noticed while a helper process keeps its output open")
    func diesWhileAHelperHoldsItsOutput() async throws {
        let error = try await failure("os.fork() or time.sleep(60); os._exit(4)")
        #expect(error.message.contains("exit code 4"))
    }

    @Test("A line above the limit fails the task")
    func floodsWithOneLine() async throws {
        let error = try await failure("while True: sys.stdout.write('x' * 65536)", maximumOutput: 100_000)
        #expect(error.type == "output-too-large")
        #expect(error.message.contains("more than 100000 bytes"))
    }

    @Test("Only the first log lines of a task reach the log")
    func floodsWithMessages() async throws {
        let log = LogLines()
        var flow = try Children.flow("while True: reply(log='x' * 1000)")
        flow.logger = log.logger
        let definition = FlowDefinition(
            name: try FlowFixtures.name("f"),
            flow: flow,
            timeout: .milliseconds(500)
        )
        let result = await definition.attempt(try FlowFixtures.task(json: "1"))
        #expect(result == .failure(FlowError(type: "timeout", message: "ran longer than 500 ms", isRetryable: true)))
        #expect(log.lines.count <= 1_001)
        await flow.shutDown()
    }

    @Test("A child that never answers runs into the time-out")
    func printsNothing() async throws {
        var flow = try Children.flow(#"reply(output=1) if task["record"] else time.sleep(60)"#)
        flow.patience.termination = .milliseconds(200)
        let definition = FlowDefinition(name: try FlowFixtures.name("f"), flow: flow, timeout: .milliseconds(300))
        let (silent, good) = (try FlowFixtures.task(json: "0"), try FlowFixtures.task(json: "1"))
        _ = try await flow.run(good)
        let result = await definition.attempt(silent)
        #expect(result == .failure(FlowError(type: "timeout", message: "ran longer than 300 ms", isRetryable: true)))
        #expect(try await flow.run(good) == .json(Array("1".utf8)))
        await flow.shutDown()
    }

    @Test("A child that never reads its input runs into the time-out")
    func neverReadsItsInput() async throws {
        let flow = try ProcessFlow(["sleep", "60"])
        let definition = FlowDefinition(name: try FlowFixtures.name("f"), flow: flow, timeout: .milliseconds(300))
        let task = try FlowFixtures.task(text: String(repeating: "x", count: 1 << 20))
        #expect(
            await definition.attempt(task)
                == .failure(FlowError(type: "timeout", message: "ran longer than 300 ms", isRetryable: true))
        )
        await flow.shutDown()
    }

    @Test("A program that does not exist fails the task")
    func missingProgram() async throws {
        let task = try FlowFixtures.task(json: "1")
        let flow = try ProcessFlow(["no-such-program-of-sheaf"])
        let error = try #require(await #expect(throws: FlowError.self) { try await flow.run(task) })
        #expect(error.type == "not-found")
        let path = try ProcessFlow(["./no-such-program-of-sheaf"])
        let other = try #require(await #expect(throws: FlowError.self) { try await path.run(task) })
        #expect(other.type == "not-found")
    }

    @Test("No task is lost if children crash from time to time")
    func occasionalCrashes() async throws {
        let flow = try Children.flow(
            """
            served = globals().get("served", 0) + 1
            if served % 10 == 0: os._exit(1)
            reply(output=task["record"])
            """
        )
        var crashes = 0
        for index in 0..<100 {
            let task = try FlowFixtures.task(json: "\(index)", index: index)
            while true {
                do {
                    #expect(try await flow.run(task) == .json(Array("\(index)".utf8)))
                    break
                } catch let error as FlowError {
                    #expect(error.type == "process-ended" && error.isRetryable)
                    crashes += 1
                }
            }
        }
        #expect(crashes == 11)
        await flow.shutDown()
    }

    @Test(
        "Invalid definitions are rejected",
        arguments: [
            ([], "exec: it is empty; the first item is the program"),
            ([""], "exec[0]: the program has no name"),
            (
                ["cat", "{{name}}"],
                """
                exec[1]: templates are not allowed here: the program serves many tasks and reads each of them as a line
                """
            ),
        ] as [([String], String)]
    )
    func invalidDefinitions(command: [String], message: String) throws {
        let problem = #expect(throws: FlowConfigurationProblem.self) { try ProcessFlow(command) }
        #expect(problem?.description == message)
    }
}
