import Foundation
import SheafCore
import Subprocess
import SystemPackage
import Testing

/// Checks docs/protocol.md: a Python program written from that page alone works with `sheaf` on the other side.
@Suite(.timeLimit(.minutes(3))) struct ProtocolTests {
    private static let records = """
        {"id":"a","text":"one"}
        {"text":"zwölf"}
        {"id":"bad"}

        """

    @Test("A batch published by the Python program is run by Sheaf")
    func pythonPublishesAndSheafRuns() async throws {
        try await Crossing.with { crossing in
            let published = try await crossing.python("publish", "again", "b1", input: Self.records)
            #expect(published.code == 0 && published.output == "3\n", "\(published.talk)")
            // The first attempt of each task asks for another one, so the tasks pass through the delay queue.
            let run = try await crossing.sheaf("run", "--until-empty", "--batch", "b1")
            #expect(run.code == 1, "\(run.talk)")
            try await crossing.expect("b1", status: "completed", BatchCounts(succeeded: 2, failed: 1))
            let rows = try await crossing.rows(of: "b1")
            #expect(rows.count == 3)
            let second = rows.first { $0["index"] == 1 }
            #expect(second?["output"] == "zwölf" && second?["attempts"] == 2 && second?["record_id"] == "1")
            // The tasks waited about a second in this queue.
            try await crossing.declares(
                "delay.1s",
                """
                {"x-queue-type": "quorum", "x-message-ttl": 1000, "x-dead-letter-exchange": sheaf.name("delayed"),
                 "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
                """
            )
            // Neither side accepts an id twice.
            #expect(try await crossing.python("publish", "again", "b1", input: Self.records).code == 1)
            #expect(try await crossing.sheaf("again", "-", "--batch-id", "b1", input: Self.records).code != 0)
        }
    }

    @Test("Identical records that the Python program publishes once get their outcomes from Sheaf")
    func twins() async throws {
        try await Crossing.with { crossing in
            let records = #"{"id":"a","text":"x"}"# + "\n" + #"{"text":"y"}"# + "\n" + #"{"text":"x","id":"c"}"# + "\n"
            let published = try await crossing.python("publish", "echo", "b1", "once", input: records)
            #expect(published.code == 0 && published.output == "3\n", "\(published.talk)")
            let run = try await crossing.sheaf("run", "--until-empty", "--batch", "b1")
            #expect(run.code == 0 && run.talk.contains("2 succeeded"), "\(run.talk)")
            try await crossing.expect("b1", status: "completed", BatchCounts(succeeded: 3))
            let row = try await crossing.rows(of: "b1").first { $0["index"] == 2 }
            #expect(row?["record_id"] == "c" && row?["same_as"] == 0 && row?["output"]?["text"] == "x")
            let read = try await crossing.python("results", "b1")
            #expect(read.output.split(separator: "\n").count == 3, "\(read.output)")
        }
    }

    @Test("A batch published by Sheaf is run by the Python program")
    func sheafPublishesAndPythonRuns() async throws {
        try await Crossing.with { crossing in
            let options = ["--batch-id", "b1", "--format", "jsonl", "-p", #"suffix=["!","?"]"#]
            let created = try await crossing.sheaf(["shout", "-"] + options, input: Self.records)
            #expect(created.code == 0, "\(created.talk)")
            async let worked = crossing.python("work", "b1")
            async let waited = crossing.sheaf("wait", "b1", "--timeout", "20s")
            #expect(try await worked.output == "6\n")
            #expect(try await waited.code == 1)
            try await crossing.expect("b1", status: "completed", BatchCounts(succeeded: 4, failed: 2))
            let outputs = try await crossing.rows(of: "b1").compactMap { $0["output"]?.stringValue }
            #expect(outputs.sorted() == ["ONE!", "ONE?", "ZWÖLF!", "ZWÖLF?"])
        }
    }

    @Test("Both programs declare the same queues and logs")
    func pythonDeclaresWhatSheafHasDeclared() async throws {
        try await Crossing.with { crossing in
            let options = ["--batch-id", "b1", "--format", "jsonl", "--concurrency", "2"]
            #expect(try await crossing.sheaf(["shout", "-"] + options, input: Self.records).code == 0)
            try await crossing.declares("tasks.shout.b1.0", #"sheaf_amqp.quorum(3, sheaf.name("suspects", "shout"))"#)
            try await crossing.declares("results.b1", "sheaf_amqp.STREAM")
            try await crossing.declares("permits.b1.0", #"{"x-queue-type": "classic"}"#)
            let published = try await crossing.python("publish", "shout", "b2", input: Self.records)
            #expect(published.code == 0, "\(published.talk)")
            async let one = crossing.python("work", "b2")
            async let other = crossing.python("work", "b2")
            async let waited = crossing.sheaf("wait", "b2", "--timeout", "20s")
            let outputs = try await [one.output, other.output]
            #expect(outputs.compactMap { Int($0.dropLast()) }.reduce(0, +) == 3)
            #expect(try await waited.code == 1)
        }
    }

    @Test("The Python worker obeys stop and cancel")
    func endsReachPython() async throws {
        try await Crossing.with { crossing in
            let last = ["--format", "jsonl", "--no-shuffle"]
            let input = #"{"id":"bad"}"# + "\n" + Self.records
            let policy = ["--error-policy", "stop", "--batch-id", "b1"]
            #expect(try await crossing.sheaf(["shout", "-"] + last + policy, input: input).code == 0)
            #expect(try await crossing.python("work", "b1").output == "1\n")
            try await crossing.expect("b1", status: "failed", BatchCounts(pending: 3, failed: 1))
            #expect(try await crossing.sheaf(["shout", "-", "--batch-id", "b2"] + last, input: input).code == 0)
            #expect(try await crossing.sheaf("cancel", "b2").code == 0)
            #expect(try await crossing.python("work", "b2").output == "0\n")
            try await crossing.expect("b2", status: "cancelled", BatchCounts(cancelled: 4))
        }
    }

    @Test("Foreign messages in queues and logs harm no batch")
    func foreignMessagesHarmNothing() async throws {
        try await Crossing.with { crossing in
            #expect(try await crossing.python("publish", "echo", "b1", input: Self.records).code == 0)
            let script = """
                import sheaf_amqp
                sheaf, names = sheaf_amqp.Sheaf(), {"sheaf-flow": "echo", "sheaf-batch": "b1"}
                queue = sheaf.name("tasks", "echo", "b1", "0")
                sheaf.send(queue, "hello", b"?")
                sheaf.send(queue, "task", b"{}", names)
                sheaf.send(queue, "task", b"{}", names | {"sheaf-index": -1})
                sheaf.send(queue, "task", b"{}", names | {"sheaf-index": 3})
                sheaf.send(queue, "task", b"{}", names | {"sheaf-index": 0, "sheaf-batch": "b 2"})
                sheaf.send(queue, "task", b'"twice"', names | {"sheaf-index": 0})
                sheaf.send(queue, "task", b'"never"', names | {"sheaf-index": 1, "sheaf-generation": 1})
                sheaf.send(sheaf.name("results", "b1"), "outcomes", b'{"index":7,"status":"succeeded"}\\noops\\n')
                sheaf.send(sheaf.name("journal"), "sealed", b'{"total":99}', names)
                """
            let sent = try await crossing.python(script: script)
            #expect(sent.code == 0, "\(sent.talk)")
            let run = try await crossing.sheaf("run", "--until-empty", "--batch", "b1")
            #expect(run.code == 0, "\(run.talk)")
            try await crossing.expect("b1", status: "completed", BatchCounts(succeeded: 3))
            #expect(try await crossing.rows(of: "b1").count == 3)
        }
    }
}

/// A namespace of its own on the tests' RabbitMQ, with both sides.
struct Crossing: Sendable {
    private let folder: FilePath
    private let python: FilePath
    private let variables: [Environment.Key: String]

    private static let configuration = """
        flows:
          again: { exec: ["sh", "-c", '[ $SHEAF_ATTEMPT -gt 1 ] || exit 75; echo "$1"', "sh", "{{text}}"], retries: 1 }
          shout: { echo: true }
        """

    /// Runs the body in a new folder and namespace.
    static func with(_ body: @Sendable (Crossing) async throws -> Void) async throws {
        let url = try #require(
            ProcessInfo.processInfo.environment["SHEAF_TEST_AMQP_URL"],
            "SHEAF_TEST_AMQP_URL is not set: run the tests by 'make test' or 'Tests/rabbitmq-node run swift test'"
        )
        let python = try await Python.interpreter.value
        let name = "protocol-\(UUID().uuidString)"
        let folder = FilePath(FileManager.default.temporaryDirectory.path).appending(name)
        try FileManager.default.createDirectory(atPath: folder.string, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        try configuration.write(toFile: folder.appending("sheaf.yaml").string, atomically: true, encoding: .utf8)
        let variables: [Environment.Key: String] = [
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder.string, "SHEAF_BROKER": url, "SHEAF_NAMESPACE": name,
            "PYTHONPATH": Python.folder.string, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8",
        ]
        try await body(Crossing(folder: folder, python: python, variables: variables))
    }

    /// Runs the built `sheaf`, which is beside the test bundle.
    func sheaf(_ arguments: String..., input: String = "") async throws -> Run {
        try await sheaf(arguments, input: input)
    }

    /// Runs the built `sheaf`.
    func sheaf(_ arguments: [String], input: String = "") async throws -> Run {
        let bundle = FilePath(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        return try await run(bundle.removingLastComponent().appending("sheaf"), arguments, input: input)
    }

    /// Runs the Python program.
    func python(_ arguments: String..., input: String = "") async throws -> Run {
        try await run(python, [Python.folder.appending("sheaf_amqp.py").string] + arguments, input: input)
    }

    /// Runs a few lines of Python.
    func python(script: String) async throws -> Run {
        try await run(python, ["-c", script])
    }

    /// Checks that a queue has these arguments, since RabbitMQ refuses to redeclare it with others.
    func declares(_ name: String, _ arguments: String, at place: SourceLocation = #_sourceLocation) async throws {
        let script = """
            import sheaf_amqp
            sheaf = sheaf_amqp.Sheaf()
            sheaf.channel.queue_declare(sheaf.name("\(name)"), passive=True)
            sheaf.declare(sheaf.name("\(name)"), \(arguments))
            """
        let declared = try await python(script: script)
        #expect(declared.code == 0, "\(declared.talk)", sourceLocation: place)
    }

    /// Checks the output of `sheaf status`.
    func expect(
        _ batch: String,
        status: JSONValue,
        _ counts: BatchCounts,
        at place: SourceLocation = #_sourceLocation
    ) async throws {
        let seen = try JSON.parse(try await sheaf("status", batch, "--json").output)
        #expect(seen["status"] == status, sourceLocation: place)
        #expect(seen["counts"] == counts.json, sourceLocation: place)
    }

    /// The results of a batch as the Python program reads them, after checking that Sheaf reads the same bytes.
    func rows(of batch: String, at place: SourceLocation = #_sourceLocation) async throws -> [JSONValue] {
        let read = try await python("results", batch)
        #expect(read.code == 0, "\(read.talk)", sourceLocation: place)
        #expect(try await sheaf("results", batch).output == read.output, sourceLocation: place)
        return try read.output.split(separator: "\n").map { try JSON.parse(String($0)) }
    }

    private func run(_ program: FilePath, _ arguments: [String], input: String = "") async throws -> Run {
        try await Run.of(program, arguments, input: input, environment: .custom(variables), folder: folder)
    }
}

/// The exit code and output of a process.
struct Run: Sendable {
    /// The exit code, or 128 and the number of the signal that killed it.
    let code: Int32
    /// Standard output.
    let output: String
    /// Standard error.
    let talk: String

    /// Runs a process to its end; kills it after the limit.
    static func of(
        _ program: FilePath,
        _ arguments: [String],
        input: String = "",
        environment: Environment = .inherit,
        folder: FilePath? = nil,
        limit: Duration = .seconds(30)
    ) async throws -> Run {
        let run = try await withThrowingTaskGroup(of: Run?.self) { group in
            group.addTask {
                let result = try await Subprocess.run(
                    .path(program),
                    arguments: Arguments(arguments),
                    environment: environment,
                    workingDirectory: folder,
                    input: .string(input),
                    output: .string(limit: 1 << 20),
                    error: .string(limit: 1 << 20)
                )
                let code: Int32 =
                    switch result.terminationStatus {
                    case .exited(let code): code
                    case .signaled(let signal): 128 + signal
                    }
                return Run(code: code, output: result.standardOutput, talk: result.standardError)
            }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        return try #require(run, "\(program) \(arguments.joined(separator: " ")) took longer than \(limit)")
    }
}

/// A Python environment with pika, kept between runs in the build folder.
enum Python {
    /// The folder of the Python program.
    static let folder = FilePath(#filePath).removingLastComponent()
    /// The interpreter, prepared at first use.
    static let interpreter = Task { try await prepare() }

    private static let pika = "pika==1.4.4"

    private static func prepare() async throws -> FilePath {
        let home = folder.removingLastComponent().removingLastComponent().appending(".build/python-\(pika)")
        let (interpreter, marker) = (home.appending("bin/python"), home.appending("is-complete").string)
        let files = FileManager.default
        if files.fileExists(atPath: marker), files.isExecutableFile(atPath: interpreter.string) { return interpreter }
        try? files.removeItem(atPath: marker)
        let limit = Duration.seconds(120)
        let made = try await Run.of("/usr/bin/env", ["python3", "-m", "venv", "--clear", home.string], limit: limit)
        try #require(made.code == 0, "no Python (apt-get install python3-venv): \(made.output)\(made.talk)")
        let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", pika]
        let installed = try await Run.of(interpreter, options, limit: limit)
        try #require(installed.code == 0, "\(pika) cannot be installed from PyPI: \(installed.talk)")
        _ = files.createFile(atPath: marker, contents: nil)
        return interpreter
    }
}
