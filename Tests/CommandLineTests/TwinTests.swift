import Foundation
import SheafCore
import SheafTestTools
import Testing

/// Identical records as a user sees them.
@Suite("Identical records on the command line", .timeLimit(.minutes(2))) struct TwinTests {
    private static let configuration = """
        flows:
          once: { exec: ["sh", "-c", "echo x >> runs; cat"], dedupe: true }
          picky: { exec: ["sh", "-c", "echo x >> runs; grep -q good"], retries: 0 }
        """

    /// How many tasks have run.
    private static func runs(_ bench: Workbench) -> Int {
        let noted = FileManager.default.contents(atPath: "\(bench.folder)/runs") ?? Data()
        return noted.count { $0 == UInt8(ascii: "x") }
    }

    @Test("A flow with 'dedupe' runs identical records once, and every record has a result") func flow() async throws {
        try await Workbench.with(configuration: Self.configuration) { bench in
            let input = (0..<30).map { #"{"id": "r\#($0)", "n": \#($0 % 3)}"# + "\n" }.joined()
            try bench.write(input, to: "in.jsonl")
            let preview = try await bench.sheaf("create", "once", "in.jsonl", "--dry-run")
            #expect(preview.talk.contains("27 records are identical to an earlier one"), "\(preview.talk)")
            let create = try await bench.sheaf("create", "once", "in.jsonl", "--no-shuffle", "--batch-id", "b1")
            let line = "27 of 30 tasks have a record identical to an earlier one and get its outcome"
            #expect(create.code == 0 && create.talk.contains("twins: \(line)"), "\(create.talk)")
            let run = try await bench.sheaf("run", "--until-empty", "--batch", "b1")
            #expect(run.code == 0 && run.talk.contains("3 succeeded, 0 failed"), "\(run.talk)")
            #expect(Self.runs(bench) == 3)
            let status = try await bench.sheaf("status", "b1")
            #expect(status.lines.contains("twins     \(line)"), "\(status.output)")
            #expect(status.lines.contains("tasks     30: 30 succeeded"), "\(status.output)")
            #expect(status.output.contains("identical records once"))
            let rows = try await bench.sheaf("results", "b1", "--ordered").lines.map { try JSON.parse($0) }
            #expect(rows.count == 30 && rows[7]["record_id"] == "r7" && rows[7]["same_as"] == 1, "\(rows)")
            #expect(rows[7]["output"] == rows[1]["output"] && rows[1]["same_as"] == nil)
            let csv = try await bench.sheaf("results", "b1", "--format", "csv")
            #expect(csv.lines.count == 31)
            let json = try await bench.sheaf("status", "b1", "--json").json
            #expect(json["twins"] == 27 && json["counts"]?["succeeded"] == 30)
            let events = try await bench.sheaf("events", "b1", "--index", "7")
            #expect(events.output.contains("the record is identical to that of task 1"), "\(events.output)")
            let each = try await bench.sheaf("create", "once", "in.jsonl", "--no-dedupe", "--json").json
            #expect(each["twins"] == 0 && each["total"] == 30)
            let fields = try await bench.sheaf("create", "once", "in.jsonl", "--dedupe-fields", "id, n", "--json").json
            #expect(fields["twins"] == 0)
        }
    }

    @Test("A retry of a twin runs the first task again") func retrying() async throws {
        try await Workbench.with(configuration: Self.configuration) { bench in
            let arguments = ["create", "picky", "-", "--no-shuffle", "--dedupe", "--batch-id", "b1"]
            try await bench.sheaf(arguments, input: "bad\ngood\nbad\nbad\n")
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "b1").code == 1)
            let counts = try await bench.sheaf("status", "b1", "--json").json["counts"]
            #expect(counts?["failed"] == 3 && counts?["succeeded"] == 1)
            try bench.write(Self.configuration.replacing("grep -q good", with: "true"), to: "sheaf.yaml")
            let retry = try await bench.sheaf("retry", "b1", "--index", "3", "--json").json
            #expect(retry["retried"] == 3, "\(retry)")
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "b1").code == 0)
            #expect(Self.runs(bench) == 3)
            let after = try await bench.sheaf("status", "b1", "--json").json["counts"]
            #expect(after?["succeeded"] == 4)
        }
    }

    @Test("Options that contradict each other are refused") func contradictions() async throws {
        try await Workbench.with(configuration: Self.configuration) { bench in
            let both = try await bench.sheaf("create", "once", "-", "--no-dedupe", "--dedupe-fields", "a", input: "1\n")
            #expect(both.code == 64 && both.talk.contains("cannot be combined"), "\(both.talk)")
            let empty = try await bench.sheaf("create", "once", "-", "--dedupe-fields", "a,,b", input: "1\n")
            #expect(empty.code == 64 && empty.talk.contains("names of fields"), "\(empty.talk)")
        }
    }
}
