import SheafCore
import Testing

@testable import SheafFlows

@Suite struct ExecFlowOutputTests {
    @Test(
        "Output is JSON if all of it is JSON, otherwise a string",
        arguments: [
            (#"{"a": 1}\n"#, FlowOutput.json(Array(#"{"a": 1}"#.utf8))),
            ("  [1,\\n2]  \\n", .json(Array("[1,\n2]".utf8))),
            ("42\\n", .json(Array("42".utf8))),
            ("null", .json(Array("null".utf8))),
            (#""quoted""#, .json(Array(#""quoted""#.utf8))),
            ("two words\\n", .text("two words")),
            ("two lines\\nhere\\n\\n", .text("two lines\nhere\n")),
            ("windows\\r\\n", .text("windows")),
            ("no break", .text("no break")),
            ("007\\n", .text("007")),
            ("{}{}\\n", .text("{}{}")),
            ("", .text("")),
            ("\\n", .text("")),
            ("  \\n", .text("  ")),
            ("gr\\303\\266\\303\\237e", .text("größe")),
        ]
    )
    func jsonOrText(printed: String, expected: FlowOutput) async throws {
        #expect(try await FlowFixtures.run("printf", printed.replacing("%", with: "%%")) == expected)
    }

    @Test("Output that is not UTF-8 fails the task")
    func mustBeUTF8() async throws {
        let error = try await FlowFixtures.failure("printf", "\\377\\376")
        #expect(error.type == "output-not-text")
        #expect(error.message.hasPrefix("standard output is not UTF-8"))
        #expect(!error.isRetryable)
    }

    @Test(
        "An exit code other than 0 fails the task, and 75 is retryable",
        arguments: [
            ("exit 3", "exit code 3", false),
            ("echo bad input >&2; exit 1", "exit code 1: bad input", false),
            ("echo one >&2; echo two >&2; echo >&2; exit 2", "exit code 2: one\ntwo", false),
            ("echo later >&2; exit 75", "exit code 75: later", true),
            ("echo ignored; exit 255", "exit code 255", false),
        ]
    )
    func exitCode(script: String, message: String, isRetryable: Bool) async throws {
        let error = try await FlowFixtures.failure("sh", "-c", script)
        #expect(error.type == "exit-code" && error.message == message && error.isRetryable == isRetryable)
        #expect(error.exitCode.map { message.hasPrefix("exit code \($0)") } == true)
    }

    @Test(
        "A process ended by a signal fails the task",
        arguments: [("KILL", "signal 9 (SIGKILL)"), ("TERM", "signal 15 (SIGTERM)"), ("SEGV", "signal 11 (SIGSEGV)")]
    )
    func signal(signal: String, name: String) async throws {
        let error = try await FlowFixtures.failure("sh", "-c", "echo dying >&2; kill -\(signal) $$")
        #expect(error == FlowError(type: "signal", message: "ended by \(name): dying"))
    }

    @Test("A failure quotes the end of standard error")
    func standardError() async throws {
        let script = "import sys\nfor n in range(200000): print('line', n, 'ü', file=sys.stderr)\nsys.exit(4)"
        let error = try await FlowFixtures.failure("python3", "-c", script)
        #expect(error.message.hasPrefix("exit code 4: "))
        #expect(error.message.hasSuffix("line 199999 ü"))
        #expect(error.message.utf8.count <= ProcessSupervisor.errorTail + 20)
        #expect(!error.message.contains("\u{FFFD}"))
    }

    @Test("Output above the limit fails the task")
    func outputLimit() async throws {
        let size = ExecFlow.defaultMaximumOutput
        let output = try await FlowFixtures.run("sh", "-c", "head -c \(size) /dev/zero | tr '\\0' x")
        #expect(output == .text(String(repeating: "x", count: size)))
        let error = try await FlowFixtures.failure("sh", "-c", "head -c \(size + 1) /dev/zero | tr '\\0' x; sleep 60")
        #expect(
            error
                == FlowError(
                    type: "output-too-large",
                    message:
                        "wrote more than 1048576 bytes to standard output and was ended; max_output sets the limit"
                )
        )
    }

    @Test("A process that never stops writing is ended", .timeLimit(.minutes(1))) func endlessOutput() async throws {
        let flow = try ExecFlow(["sh", "-c", "yes & yes >&2 & yes"], maximumOutput: 1000)
        let task = try FlowFixtures.task(json: "{}")
        let error = try #require(await #expect(throws: FlowError.self) { try await flow.run(task) })
        #expect(error.type == "output-too-large")
    }

    @Test("Standard output and standard error are read concurrently")
    func bothStreams() async throws {
        let script = """
            import sys
            for n in range(20000):
                print('o' * 20); print('e' * 20, file=sys.stderr)
            """
        let output = try await FlowFixtures.run("python3", "-c", script)
        #expect(
            output == .text(String(repeating: String(repeating: "o", count: 20) + "\n", count: 20000).dropLast() + "")
        )
    }
}
