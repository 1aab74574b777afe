import SheafCore
import SheafTestTools
import Testing

/// Bad input: the message names place and cause, and no other record is lost.
@Suite(.timeLimit(.minutes(2))) struct BadInputTests {
    private func failures(_ bench: Workbench) async throws -> [JSONValue] {
        try await bench.sheaf("results", "last", "--status", "failed").lines.map { try JSON.parse($0) }
    }

    private func brokenLines() -> String {
        (1...10).map { $0 == 7 ? "{\"id\": oops" : "{\"id\":\"r\($0)\"}" }.joined(separator: "\n")
    }

    @Test("A broken JSON line becomes a failed task that names file and line") func brokenJSONInLineSeven() async throws
    {
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

    @Test("--strict publishes nothing if a record cannot be read") func strictPublishesNothing() async throws {
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

    @Test("A CSV row with a missing cell becomes a failed task") func rowWithAMissingCell() async throws {
        try await Workbench.with { bench in
            try bench.write("id,a,b\n1,x,y\n2,x\n3,x,y\n", to: "in.csv")
            #expect(try await bench.sheaf("create", "echo", "in.csv").code == 0)
            try await bench.sheaf("run", "--until-empty")
            let failed = try await failures(bench)
            #expect(failed.count == 1)
            #expect(failed.first?["error"]?["message"]?.stringValue?.contains("in.csv:3") == true)
        }
    }

    @Test("A record of 2 MiB becomes a failed task and its neighbours succeed") func recordOfTwoMebibytes() async throws
    {
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

    @Test(
        "An input without records is refused",
        arguments: [
            ("empty.jsonl", 65), ("blank.txt", 65), ("nosuch.jsonl", 66), ("nosuch/*.txt", 66), ("folder", 66),
            ("data.bin", 64), ("header.csv", 65),
        ]
    ) func noRecordsAtAll(input: String, code: Int) async throws {
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
                #expect(run.talk.contains("--format") == (code == 64))
                #expect(run.output.isEmpty)
            }
            #expect(try await bench.sheaf("list", "--json").output == "[]\n")
        }
    }

    @Test("Empty standard input is refused") func emptyStandardInput() async throws {
        try await Workbench.with { bench async throws in
            for extra in [[], ["--no-shuffle"]] as [[String]] {
                #expect(try await bench.sheaf(["create", "echo", "-"] + extra, input: "").code == 65)
            }
            #expect(try await bench.sheaf("list", "--json").output == "[]\n")
        }
    }

    @Test("A batch id can be used only once") func takenID() async throws {
        try await Workbench.with { bench async throws in
            #expect(try await bench.sheaf("create", "echo", "-", "--batch-id", "mine", input: "a\n").code == 0)
            #expect(try await bench.sheaf("create", "echo", "-", "--batch-id", "mine", input: "b\n").code == 4)
            #expect(try await bench.sheaf("status", "mine", "--json").json["total"] == 1)
        }
    }

    @Test("--dry-run counts and publishes nothing") func dryRunLeavesNothing() async throws {
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
