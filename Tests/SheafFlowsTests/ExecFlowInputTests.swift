import Foundation
import SheafCore
import Testing

@testable import SheafFlows

@Suite struct ExecFlowInputTests {
    private func output(_ command: [String], _ task: FlowTask, environment: [String: String] = [:]) async throws
        -> FlowOutput
    {
        try await ExecFlow(command, environment: environment).run(task)
    }

    @Test("The record is passed on standard input")
    func recordOnStandardInput() async throws {
        let json = try FlowFixtures.task(json: #"{"a":1}"#)
        #expect(try await output(["sh", "-c", "read -r line; printf '<%s>' \"$line\""], json) == .text(#"<{"a":1}>"#))
        #expect(try await output(["cat"], json) == .json(Array(#"{"a":1}"#.utf8)))
        #expect(try await output(["wc", "-c"], FlowFixtures.task(text: "no break")) == .json(Array("8".utf8)))
        #expect(try await output(["cat"], FlowFixtures.task(text: "a\nb")) == .text("a\nb"))
        #expect(
            try await output(["md5sum"], FlowFixtures.task(bytes: [0, 255, 10, 0]))
                == .text("9ea61777cd48e3d00d1d382233769d31  -")
        )
    }

    @Test("Records of any size are passed on standard input", arguments: [0, 1, 65536, 65537, 1 << 20, 5 << 20])
    func sizes(size: Int) async throws {
        let text = String(repeating: "y", count: size)
        #expect(try await output(["wc", "-c"], FlowFixtures.task(text: text)) == .json(Array("\(size)".utf8)))
        // /dev/stdin opens the descriptor again; that works with a pipe and with a file, but not with a socket.
        #expect(
            try await output(["sh", "-c", "cat /dev/stdin | wc -c"], FlowFixtures.task(text: text))
                == .json(Array("\(size)".utf8))
        )
    }

    @Test("A process need not read its input", arguments: [10, 1 << 20]) func unreadInput(size: Int) async throws {
        let task = try FlowFixtures.task(text: String(repeating: "y", count: size))
        #expect(try await output(["true"], task) == .text(""))
        #expect(try await output(["sh", "-c", "exec <&-; echo done"], task) == .text("done"))
        #expect(try await output(["head", "-c", "3"], task) == .text("yyy"))
    }

    @Test("Large inputs leave no temporary files")
    func temporaryFiles() async throws {
        let task = try FlowFixtures.task(text: String(repeating: "y", count: 1 << 20))
        _ = try await output(["true"], task)
        let folder = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        let left = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(!left.contains { $0.hasPrefix("sheaf-\(ProcessInfo.processInfo.processIdentifier)-") })
    }

    @Test(
        "A value becomes exactly one argument",
        arguments: [
            "; touch /tmp/pwned", "$(touch /tmp/pwned)", "`id`", "a b  c", "-rf", "'\"", "*", "~", "$HOME", "\n",
            "a\nb",
            "\\",
            "{{record}}", "&amp;<>", "%s%n", "日本語", "\u{1b}[0m", "",
        ]
    )
    func oneArgument(value: String) async throws {
        var bytes: [UInt8] = []
        JSON.write(value, to: &bytes)
        let task = try FlowFixtures.task(json: #"{"text":\#(String(decoding: bytes, as: UTF8.self))}"#)
        let script = "import sys, json; print(json.dumps(sys.argv[1:]))"
        let result = try await output(["python3", "-c", script, "{{text}}", "x{{text}}x", "end"], task)
        let json = try JSON.parse(result.json)
        #expect(json == [.string(value), .string("x\(value)x"), "end"])
    }

    @Test("Values that cannot be arguments or variables fail the task")
    func invalidArguments() async throws {
        let flow = try ExecFlow(["echo", "{{text}}"])
        let cases: [(String, String)] = [
            (#"{"text":"a\u0000b"}"#, "exec[1] would contain a NUL, which no argument may contain"),
            (#"{"txt":1}"#, "exec[1] is '{{text}}', but the record 'r1' has no field 'text'; there are: txt"),
            (
                #"{"text":"\#(String(repeating: "x", count: 131072))"}"#,
                """
                exec[1] would be 131072 bytes long, but an argument has at most 131071; let the program read the record \
                from standard input instead
                """
            ),
        ]
        for (record, message) in cases {
            let task = try FlowFixtures.task(json: record)
            await #expect(throws: FlowError(type: "template", message: message)) { try await flow.run(task) }
        }
        let many = try ExecFlow(["echo"] + Array(repeating: "{{text}}", count: 200))
        let task = try FlowFixtures.task(json: #"{"text":"\#(String(repeating: "x", count: 100_000))"}"#)
        await #expect(
            throws: FlowError(
                type: "template",
                message: "the arguments and the environment of 'echo' are together larger than the system allows"
            )
        ) { try await many.run(task) }
        let named = try FlowFixtures.task(json: #"{"text":1}"#, id: "a\0b")
        await #expect(
            throws: FlowError(
                type: "template",
                message: "the id of the record contains a NUL, which no variable may contain"
            )
        ) { try await flow.run(named) }
    }

    @Test("The environment has the worker's, the flow's and the task's variables")
    func environment() async throws {
        setenv("SHEAF_BROKER", "amqp://user:secret@host", 1)
        setenv("SHEAF_TEST_INHERITED", "inherited", 1)
        let task = try FlowFixtures.task(
            json: #"{"a":1}"#,
            id: "sku 1",
            parameters: ["lang": "en", "n": [1, 2]],
            index: 41,
            attempt: 3
        )
        let script = "import os, json; print(json.dumps(dict(os.environ)))"
        let printed = try await output(
            ["python3", "-c", script],
            task,
            environment: ["A": "b c=d", "SHEAF_TASK_ID": "mine"]
        )
        let variables = try JSON.parse(printed.json)
        #expect(variables["SHEAF_BATCH_ID"] == "b1")
        #expect(variables["SHEAF_TASK_ID"] == "b1:41")
        #expect(variables["SHEAF_TASK_INDEX"] == "41")
        #expect(variables["SHEAF_RECORD_ID"] == "sku 1")
        #expect(variables["SHEAF_ATTEMPT"] == "3")
        #expect(variables["SHEAF_PARAMETERS"] == #"{"lang":"en","n":[1,2]}"#)
        #expect(variables["A"] == "b c=d")
        #expect(variables["SHEAF_TEST_INHERITED"] == "inherited")
        #expect(variables["SHEAF_BROKER"] == nil)
        unsetenv("SHEAF_BROKER")
    }

    @Test("A program is found in PATH or relative to the folder")
    func programLookup() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf tests \(UUID())")
        try FileManager.default.createDirectory(at: folder.appending(path: "bin"), withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let program = folder.appending(path: "bin/tool")
        try "#!/bin/sh\npwd; echo \"$0\"\n".write(to: program, atomically: true, encoding: .utf8)
        let task = try FlowFixtures.task(json: "{}")
        let path = folder.path().removingPercentEncoding ?? ""
        let place = try ExecFlow(["bin/tool"], directory: path)
        await #expect(
            throws: FlowError(
                type: "not-found",
                message: """
                    the program 'bin/tool' cannot be run (the path is relative to the folder '\(path)'); check that it \
                    exists and is executable, and that the interpreter in its first line is installed
                    """
            )
        ) { try await place.run(task) }
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path + "/bin/tool")
        #expect(try await place.run(task) == .text("\(path)\n\(path)/bin/tool"))
        let found = try ExecFlow(["tool"], directory: path, environment: ["PATH": path + "/bin:/bin:/usr/bin"])
        #expect(try await found.run(task) == .text("\(path)\n\(path)/bin/tool"))
        await #expect(
            throws: FlowError(type: "not-found", message: "there is no program 'tool' in any folder of PATH")
        ) { try await ExecFlow(["tool"]).run(task) }
        await #expect(
            throws: FlowError(
                type: "not-found",
                message: "the folder '\(path)/gone' cannot be entered: No such file or directory"
            )
        ) { try await ExecFlow(["true"], directory: path + "/gone").run(task) }
    }
}
