import Foundation
import SheafCore
import Testing

@testable import SheafFlows

/// A child that lives for many tasks and keeps to the protocol.
@Suite(.timeLimit(.minutes(2))) struct ProcessFlowTests {
    /// Runs tasks one after the other and returns their outputs.
    private func outputs(_ flow: ProcessFlow, _ records: [String]) async throws -> [FlowOutput] {
        var outputs: [FlowOutput] = []
        for (index, record) in records.enumerated() {
            outputs.append(try await flow.run(FlowFixtures.task(json: record, index: index)))
        }
        await flow.shutDown()
        return outputs
    }

    @Test("One child serves many tasks")
    func oneChildServesManyTasks() async throws {
        let flow = try Children.flow(#"reply(output=[task["record"], os.getpid(), task["attempt"]])"#)
        let found = try await outputs(flow, ["1", #""two""#, #"{"three":3}"#]).map { try JSON.parse($0.json) }
        #expect(found.map { $0.arrayValue?[0] } == [1, "two", ["three": 3]])
        #expect(Set(found.map { $0.arrayValue?[1] }).count == 1)
    }

    @Test("A task is one line of JSON")
    func aTaskIsOneLine() async throws {
        let flow = try Children.flow("reply(output=task)")
        let task = try FlowFixtures.task(
            json: "{\n\"a\": [1,\n2]}",
            id: "the \"id\"",
            parameters: ["lang": "en"],
            attempt: 3
        )
        let expected: JSONValue = [
            "task_id": "b1:7", "record_id": "the \"id\"", "record": ["a": [1, 2]], "parameters": ["lang": "en"],
            "attempt": 3,
        ]
        #expect(try JSON.parse(await flow.run(task).json) == expected)
        await flow.shutDown()
    }

    @Test("Records larger than a pipe are passed on")
    func largeRecords() async throws {
        let text = String(repeating: "ä", count: 150_000)
        let flow = try Children.flow(#"reply(output=task["record"])"#)
        let output = try await flow.run(FlowFixtures.task(text: text)).json
        #expect(try JSON.parse(output) == .string(text))
        await flow.shutDown()
    }

    @Test("Concurrent tasks have a child each")
    func concurrentTasks() async throws {
        let flow = try Children.flow(#"reply(output=os.getpid())"#)
        let children = try await withThrowingTaskGroup(of: FlowOutput.self) { group in
            for index in 0..<200 {
                if index >= 4 { _ = try await group.next() }
                group.addTask { try await flow.run(FlowFixtures.task(json: "0", index: index)) }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert(String(decoding: $1.json, as: UTF8.self)) }
        }
        #expect(children.count <= 4)
        await flow.shutDown()
    }

    @Test("A child is replaced after its maximum number of tasks")
    func maximumTasks() async throws {
        let flow = try Children.flow("reply(output=os.getpid())", maximumTasks: 2)
        let found = try await outputs(flow, ["1", "2", "3", "4", "5"]).map { String(decoding: $0.json, as: UTF8.self) }
        #expect(found[0] == found[1] && found[2] == found[3])
        #expect(Set(found).count == 3)
    }

    @Test("A reported failure has the type, message and retryability that the child gave")
    func reportedFailure() async throws {
        let flow = try Children.flow(
            #"reply(error={"type": "full", "message": "no room", "retryable": task["record"]})"#
        )
        for isRetryable in [true, false] {
            let task = try FlowFixtures.task(json: "\(isRetryable)")
            let expected = FlowError(type: "full", message: "no room", isRetryable: isRetryable)
            await #expect(throws: expected) { try await flow.run(task) }
        }
        await flow.shutDown()
    }

    @Test("Usage is reported with the output")
    func usage() async throws {
        let flow = try Children.flow(#"reply(output=1, usage={"pages": 3, "no": -1, "half": 0.5, "text": "x"})"#)
        let output = try await flow.run(FlowFixtures.task(json: "1"))
        #expect(output.usage == Usage(["pages": 3]))
        #expect(output.json == Array("1".utf8))
        await flow.shutDown()
    }

    @Test("Log lines and standard error are logged with the task")
    func log() async throws {
        let log = LogLines()
        var flow = try Children.flow(
            """
            reply(log="one"); reply(log={"level": "warning", "message": "two"}); reply(progress=0.5)
            print("three", file=sys.stderr, flush=True); reply(output=1)
            """
        )
        flow.logger = log.logger
        _ = try await flow.run(FlowFixtures.task(json: "1"))
        await flow.shutDown()
        let lines = log.lines
        #expect(lines.contains("info task b1:7: one"))
        #expect(lines.contains("warning task b1:7: two"))
        #expect(lines.contains("debug task b1:7: progress 0.5"))
        #expect(lines.contains { $0.hasSuffix(": three") })
    }

    @Test("A question is asked and its answer is passed to the child")
    func question() async throws {
        struct Parrot: FlowAsker {
            func ask(_ question: Question) async throws -> String {
                "\(question.text) \(question.choices) \(question.fallback ?? "-")"
            }
        }
        let flow = try Children.flow(
            """
            reply(ask={"question": "Which?", "choices": ["a", "b"], "default": "b"})
            reply(output=json.loads(sys.stdin.readline())["answer"])
            """
        )
        var task = try FlowFixtures.task(json: "1")
        task.asker = Parrot()
        #expect(try await flow.run(task).json == FlowOutput.text(#"Which? ["a", "b"] b"#).json)
        task.asker = nil
        let asked = task
        let error = try #require(await #expect(throws: FlowError.self) { try await flow.run(asked) })
        #expect(error.type == "not-interactive")
        #expect(error.message.contains("'Which?'") && error.message.contains("--interactive"))
        await flow.shutDown()
    }

    @Test("Children end when the flow shuts down")
    func shutDown() async throws {
        let flow = try Children.flow("reply(output=os.getpid())")
        let process = String(decoding: try await flow.run(FlowFixtures.task(json: "1")).json, as: UTF8.self)
        #expect(FileManager.default.fileExists(atPath: "/proc/\(process)"))
        await flow.shutDown()
        #expect(!FileManager.default.fileExists(atPath: "/proc/\(process)"))
    }
}
