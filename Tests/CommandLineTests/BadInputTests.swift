import SheafCore
import SheafTesting
import Testing

/// Bad input, one kind a test: a clear message with place and cause, and nothing lost.
@Suite(.timeLimit(.minutes(2))) struct BadInputTests {
    private func failures(_ bench: Workbench) async throws -> [JSONValue] {
        try await bench.sheaf("results", "last", "--status", "failed").lines.map { try JSON.parse($0) }
    }

    private func brokenLines() -> String {
        (1...10).map { $0 == 7 ? "{\"id\": oops" : "{\"id\":\"r\($0)\"}" }.joined(separator: "\n")
    }

    @Test func brokenJSONInLineSeven() async throws {
        try await Workbench.with { bench in
            try bench.write(brokenLines(), to: "in.jsonl")
            let create = try await bench.sheaf("create", "echo", "in.jsonl", "--json")
            #expect(create.code == 0)
            #expect(try create.json["total"] == 10)
            #expect(try create.json["invalid"] == 1)
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "last").code == 1)
            let failed = try await failures(bench)
            #expect(failed.count == 1)
            #expect(failed.first?["error"]?["type"] == "invalid-record")
            #expect(failed.first?["error"]?["message"]?.stringValue?.contains("in.jsonl:7") == true)
            #expect(try await bench.sheaf("results", "last").lines.count == 10)
        }
    }

    @Test func strictPublishesNothing() async throws {
        try await Workbench.with { bench in
            try bench.write(brokenLines(), to: "in.jsonl")
            for arguments in [["in.jsonl"], ["-", "--format", "jsonl"], ["in.jsonl", "--no-shuffle"]] {
                let run = try await bench.sheaf(["create", "echo", "--strict"] + arguments, input: brokenLines())
                #expect(run.code == 65)
                #expect(run.talk.contains(":7: "))
                #expect(run.output.isEmpty)
            }
            #expect(try await bench.sheaf("validate", "echo", "in.jsonl").code == 65)
            #expect(try await bench.sheaf("list", "--json").output == "[]\n")
        }
    }

    @Test func rowWithAMissingCell() async throws {
        try await Workbench.with { bench in
            try bench.write("id,a,b\n1,x,y\n2,x\n3,x,y\n", to: "in.csv")
            #expect(try await bench.sheaf("create", "echo", "in.csv").code == 0)
            try await bench.sheaf("run", "--until-empty")
            let failed = try await failures(bench)
            #expect(failed.count == 1)
            #expect(failed.first?["error"]?["message"]?.stringValue?.contains("in.csv:3") == true)
        }
    }

    @Test func recordOfTwoMebibytes() async throws {
        try await Workbench.with { bench in
            let large = String(repeating: "x", count: 2 << 20)
            try bench.write("{\"id\":\"a\"}\n{\"id\":\"b\",\"x\":\"\(large)\"}\n{\"id\":\"c\"}\n", to: "in.jsonl")
            #expect(try await bench.sheaf("create", "echo", "in.jsonl").code == 0)
            try await bench.sheaf("run", "--until-empty")
            let failed = try await failures(bench)
            #expect(failed.count == 1)
            #expect(failed.first?["error"]?["message"]?.stringValue?.contains("in.jsonl:2") == true)
            #expect(try await bench.sheaf("results", "last", "--status", "succeeded").lines.count == 2)
        }
    }

    @Test(arguments: [
        ("empty.jsonl", 65), ("blank.txt", 65), ("nosuch.jsonl", 66), ("nosuch/*.txt", 66), ("folder", 66),
        ("data.bin", 64), ("header.csv", 65),
    ]) func noRecordsAtAll(input: String, code: Int) async throws {
        try await Workbench.with { bench in
            try bench.write("", to: "empty.jsonl")
            try bench.write("\n\n", to: "blank.txt")
            try bench.write("a,b\n", to: "header.csv")
            try bench.write("?", to: "data.bin")
            try bench.write("hidden", to: "folder/.hidden")
            for extra in [[], ["--no-shuffle"]] as [[String]] {
                let run = try await bench.sheaf(["create", "echo", input] + extra)
                #expect(Int(run.code) == code, "\(run.talk)")
                #expect(run.talk.hasPrefix("sheaf: "))
                #expect(run.output.isEmpty)
            }
            #expect(try await bench.sheaf("list", "--json").output == "[]\n")
        }
    }

    @Test func emptyStandardInput() async throws {
        try await Workbench.with { bench async throws in
            for extra in [[], ["--no-shuffle"]] as [[String]] {
                #expect(try await bench.sheaf(["create", "echo", "-"] + extra, input: "").code == 65)
            }
            #expect(try await bench.sheaf("list", "--json").output == "[]\n")
        }
    }

    @Test func takenID() async throws {
        try await Workbench.with { bench async throws in
            #expect(try await bench.sheaf("create", "echo", "-", "--batch-id", "mine", input: "a\n").code == 0)
            #expect(try await bench.sheaf("create", "echo", "-", "--batch-id", "mine", input: "b\n").code == 4)
            #expect(try await bench.sheaf("status", "mine", "--json").json["total"] == 1)
        }
    }

    @Test func dryRunLeavesNothing() async throws {
        try await Workbench.with { bench in
            try bench.write(brokenLines(), to: "in.jsonl")
            let dry = try await bench.sheaf(
                "create",
                "echo",
                "in.jsonl",
                "--dry-run",
                "--json",
                "-p",
                "n=[1,2]",
                "--broker",
                "amqp://127.0.0.1:1/"
            )
            #expect(dry.code == 0)
            #expect(try dry.json["total"] == 20)
            #expect(try dry.json["records"] == 10)
            #expect(try await bench.sheaf("list", "--json").output == "[]\n")
        }
    }
}
