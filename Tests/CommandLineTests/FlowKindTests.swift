import Foundation
import SheafCore
import SheafTestTools
import Testing

/// The kinds of flow, run as a user runs them.
@Suite(.timeLimit(.minutes(4))) struct FlowKindTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// The example of docs/flows.md in Python.
    private static func example() throws -> String {
        let page = try String(contentsOf: root.appending(path: "docs/flows.md"), encoding: .utf8)
        let block = try #require(page.components(separatedBy: "\n```python\n").dropFirst().first)
        return block.components(separatedBy: "```\n")[0]
    }

    private func rows(_ bench: Workbench) async throws -> [JSONValue] {
        try await bench.sheaf("results", "last", "--ordered").lines.map { try JSON.parse($0) }
    }

    @Test("The Python example of the documentation has at most ten lines and works") func exampleInPython() async throws
    {
        let program = try Self.example()
        #expect(program.split(separator: "\n", omittingEmptySubsequences: false).count <= 11)
        try await Workbench.with(
            configuration: """
                flows:
                  count: { process: [python3, worker.py], timeout: 20s }
                """
        ) { bench in
            try bench.write(program, to: "worker.py")
            let lines = (0..<300).map { $0 == 7 ? #"{"id": "none"}"# : #"{"id": "r\#($0)", "text": "a b c"}"# }
            try bench.write(lines.joined(separator: "\n"), to: "in.jsonl")
            #expect(try await bench.sheaf("create", "count", "in.jsonl", "--no-shuffle").code == 0)
            #expect(try await bench.sheaf("run", "--until-empty").code == 0)
            let rows = try await rows(bench)
            #expect(rows.count == 300)
            #expect(rows.filter { $0["output"] == 3 }.count == 299)
            let failed = rows[7]
            #expect(failed["error"] == ["type": "no-field", "message": "the record has no field 'text'"])
        }
    }

    @Test("doctor checks what flows need and runs nothing") func doctorChecksFlows() async throws {
        try await Workbench.with(
            configuration: """
                flows:
                  exec: { exec: [sh, -c, "touch ran"] }
                  process: { process: [./worker] }
                  lost: { process: [no-such-program] }
                  plain: { process: [./sheaf.yaml] }
                  folder: { exec: ["true"], directory: nowhere }
                  web: { http: { url: "https://h/{{id}}?key=hidden" } }
                  base: { http: { url: "${BASE}/items" } }
                  chat: { chat: { model: m, prompt: x, api_key: "${CHAT_KEY}" } }
                  vectors: { embedding: { model: m, input: x, base_url: "http://127.0.0.1:1/v1/" } }
                """
        ) { bench in
            try bench.write("#!/bin/sh\ntouch ran\n", to: "worker")
            _ = try await bench.shell("chmod +x worker")
            let run = try await bench.sheaf("doctor", environment: ["BASE": "nonsense"])
            #expect(run.code == 0)
            let home = try await bench.shell("pwd -P").lines.first ?? ""
            let expected = [
                "ok    flow process: runs \(home)/worker",
                "warn  flow lost: there is no program 'no-such-program' in any folder of PATH",
                "warn  flow plain: the program '\(home)/sheaf.yaml' does not exist or is not executable",
                "warn  flow folder: the folder '\(home)/nowhere' does not exist or cannot be entered",
                "ok    flow web: asks https://h/{{id}}", "ok    flow vectors: asks m at http://127.0.0.1:1/v1",
                "warn  flow base: its URL is invalid with the values of the environment variables",
            ]
            for line in expected { #expect(run.lines.contains(line), "\(line)\n\(run.output)") }
            #expect(run.output.contains("the environment variable 'CHAT_KEY' is not set"))
            #expect(run.lines.contains { $0.hasPrefix("ok    flow exec: runs /") && $0.hasSuffix("/sh") })
            #expect(!run.output.contains("hidden") && !run.output.contains("flow chat:"))
            let variables = ["BASE": "http://h", "CHAT_KEY": "k-secret"]
            let good = try await bench.sheaf("doctor", environment: variables)
            #expect(good.lines.contains("ok    flow base: asks ${BASE}/items"))
            #expect(good.lines.contains("ok    flow chat: asks m at https://api.openai.com/v1"))
            #expect(!good.output.contains("k-secret"))
            #expect(try await bench.shell("test -e ran").code == 1)
        }
    }

    @Test("A program that crashes now and then loses no task") func crashingProgram() async throws {
        try await Workbench.with(
            configuration: """
                flows:
                  count: { process: [python3, worker.py], timeout: 20s, retry_delay: 10ms }
                """
        ) { bench in
            let crashing = "if task['attempt'] == 1 and int(task['record']['id']) % 100 == 99: import os; os._exit(1)"
            let program = try Self.example().replacingOccurrences(of: "    try:\n", with: "    \(crashing)\n    try:\n")
            try bench.write(program, to: "worker.py")
            let lines = (0..<1_000).map { #"{"id": "\#($0)", "text": "a b c"}"# }
            try bench.write(lines.joined(separator: "\n"), to: "in.jsonl")
            #expect(try await bench.sheaf("create", "count", "in.jsonl").code == 0)
            #expect(try await bench.sheaf("run", "--until-empty").code == 0)
            let rows = try await rows(bench)
            #expect(rows.count == 1_000 && rows.allSatisfy { $0["output"] == 3 })
            #expect(rows.filter { $0["attempts"] == 2 }.count == 10)
            #expect(rows[99]["errors"]?.arrayValue?[0]["type"] == "process-ended")
        }
    }

    @Test("A thousand chats with errors and rate limits succeed or fail as the server answers")
    func aThousandChatsWithErrorsAndLimits() async throws {
        try await ModelServer.with { server in
            try await Workbench.with(
                configuration: """
                    flows:
                      ask:
                        chat:
                          base_url: \(server.url)/v1
                          api_key: ${CHAT_KEY}
                          model: m
                          prompt: "{{n}}"
                        retries: 5
                        retry_delay: 20ms
                    """
            ) { bench in
                let lines = (1...1_000).map { #"{"id": "r\#($0)", "n": \#($0)}"# }
                try bench.write(lines.joined(separator: "\n"), to: "in.jsonl")
                #expect(try await bench.sheaf("create", "ask", "in.jsonl", "--no-shuffle").code == 0)
                let refused = try await bench.sheaf("run", "--until-empty")
                #expect(refused.code == 78 && refused.talk.contains("'CHAT_KEY', which is not set"))
                let run = try await bench.sheaf(
                    ["run", "--until-empty", "-c", "16", "--log-level", "debug"],
                    environment: ["CHAT_KEY": ModelServer.key],
                    limit: .seconds(120)
                )
                #expect(run.code == 0)
                #expect(!run.talk.contains(ModelServer.key))
                let rows = try await rows(bench)
                #expect(rows.count == 1_000)
                var usage = Usage()
                for (position, row) in rows.enumerated() {
                    let number = position + 1
                    if number % 250 == 0 {
                        #expect(row["error"]?["type"] == "http-400", "\(row)")
                        continue
                    }
                    #expect(row["output"]?["content"] == .string("m: \(number)"), "\(row)")
                    usage += Usage(json: row["output"]?["usage"])
                }
                let expected = (1...1_000).filter { $0 % 250 != 0 }
                #expect(usage["input_tokens"] == expected.reduce(0) { $0 + $1 + 1 })
                #expect(usage["output_tokens"] == expected.reduce(0) { $0 + $1 % 7 + 1 })
                let status = try await bench.sheaf("status", "last", "--json").json
                #expect(status["status"] == "completed")
                #expect(status["usage"] == usage.json)
                let words = try await bench.sheaf("status", "last").output
                #expect(words.contains("\(usage["input_tokens"]) input_tokens"))
                let totals = try await bench.shell(
                    """
                    python3 -c 'import urllib.request as r; print(r.urlopen("\(server.url)/totals").read().decode())'
                    """
                )
                #expect(try totals.json["input_tokens"]?.intValue == usage["input_tokens"])
                #expect(try totals.json["calls"] == 996)
            }
        }
    }

    @Test("A swift flow is created by the command and run by its own program only") func theExamplePackageInSwift()
        async throws
    {
        try await Workbench.with(configuration: "flows:\n  shorten: { swift: true }") { bench in
            let title = String(repeating: "long ", count: 10)
            let lines = [#"{"title": "\#(title)", "tags": ["a", "b"]}"#, #"{"title": 5}"#, #"{"tags": []}"#]
            try bench.write(lines.joined(separator: "\n"), to: "in.jsonl")
            let create = try await bench.sheaf("create", "shorten", "in.jsonl", "--no-shuffle", "-p", "length=9")
            #expect(create.code == 0)
            #expect(create.talk.contains("start the program that holds flow 'shorten'"), "\(create.talk)")
            for arguments in [["--flow", "shorten"], ["--batch", "last"]] {
                let run = try await bench.sheaf(["run", "--until-empty"] + arguments)
                #expect(run.code == 78 && run.talk.contains("a Swift type in another program"), "\(run.talk)")
            }
            #expect(try await bench.sheaf("run", "--until-empty").talk.contains("does not run 'shorten'"))
            #expect(try await bench.shell("$(dirname $SHEAF)/shorten .sheaf").code == 0)
            let rows = try await rows(bench)
            #expect(rows.map { $0["output"] } == [["tags": 2, "title": "long long"], .null, .null])
            #expect(
                rows[1]["error"]?["message"]?.stringValue?.hasSuffix(
                    "has something as 'title' that is not of type String"
                ) == true
            )
            #expect(rows[2]["error"]?["message"]?.stringValue?.hasSuffix("has no field 'title'") == true)
        }
    }

    @Test("The example package is quoted in the documentation and names Sheaf") func theExamplePackageNamesSheaf()
        async throws
    {
        let folder = Self.root.appending(path: "docs/swift-flow").path
        let source = try String(contentsOfFile: folder + "/Sources/shorten/Shorten.swift", encoding: .utf8)
        let page = try String(contentsOf: Self.root.appending(path: "docs/flows.md"), encoding: .utf8)
        #expect(page.contains("```swift\n\(source)```\n"), "docs/flows.md does not quote the example as it is compiled")
        let inherited = ProcessInfo.processInfo.environment
        let environment = ["PATH": inherited["PATH"] ?? "/usr/bin", "SWIFT": inherited["SWIFT"] ?? "swift"]
        try await Workbench.with(configuration: "", environment: environment) { bench in
            let dump = try await bench.shell(
                "$SWIFT package --package-path \(folder) --scratch-path build dump-package"
            )
            #expect(dump.code == 0, "\(dump.talk)")
            #expect(try dump.json["targets"]?.arrayValue?[0]["name"] == "shorten")
        }
    }
}
