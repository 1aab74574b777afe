import SheafCore
import SheafTestTools
import Testing

/// Leaving out records that succeeded in an earlier batch.
@Suite(.timeLimit(.minutes(2))) struct SkipSucceededTests {
    private let configuration = """
        flows:
          even: { exec: ["sh", "-c", 'case "$SHEAF_RECORD_ID" in *[02468]) ;; *) exit 1;; esac'], retries: 0 }
          one: { exec: ["sh", "-c", 'test "$0" != "$SHEAF_RECORD_ID"', "{{n}}"], retries: 0 }
        """

    private func records(_ range: Range<Int>) -> String { range.map { "{\"id\":\"r\($0)\"}\n" }.joined() }

    private func ids(_ bench: Workbench) async throws -> Set<String> {
        Set(try await bench.sheaf("results", "last").lines.compactMap { try JSON.parse($0)["record_id"]?.stringValue })
    }

    @Test("A second batch takes the records that have not succeeded", arguments: [["--no-shuffle"], ["--shuffle"]])
    func aSecondNightTakesTheRest(order: [String]) async throws {
        try await Workbench.with(configuration: configuration) { bench in
            try bench.write(records(0..<40), to: "in.jsonl")
            try await bench.sheaf("create", "even", "in.jsonl", "--batch-id", "first")
            let early = try await bench.sheaf("create", "even", "in.jsonl", "--skip-succeeded", "first")
            #expect(early.code == 4 && early.talk.contains("is still running"), "\(early.talk)")
            #expect(try await bench.sheaf("run", "--until-empty").code == 0)
            try bench.write(records(0..<50), to: "in.jsonl")
            let arguments = ["create", "even", "in.jsonl", "--skip-succeeded", "first", "--json"]
            let next = try await bench.sheaf(arguments + order)
            #expect(next.code == 0 && next.talk.contains("left out 20 records"), "\(next.talk)")
            #expect(try next.json["total"] == 30)
            #expect(try next.json["skipped"] == 20)
            #expect(try await bench.sheaf("run", "--until-empty").code == 0)
            let expected = (0..<50).filter { $0 >= 40 || !$0.isMultiple(of: 2) }
            #expect(try await ids(bench) == Set(expected.map { "r\($0)" }))
            let limited = try await bench.sheaf(arguments + order + ["--max-records", "7"])
            #expect(try limited.json["total"] == 7)
        }
    }

    @Test("Nothing is created if every record has succeeded") func nothingIsLeft() async throws {
        try await Workbench.with(configuration: configuration) { bench in
            try bench.write("{\"id\":\"r2\"}\n{\"id\":\"r4\"}\n", to: "in.jsonl")
            try await bench.sheaf("create", "even", "in.jsonl", "--batch-id", "first")
            #expect(try await bench.sheaf("run", "--until-empty").code == 0)
            for order in ["--shuffle", "--no-shuffle"] {
                let run = try await bench.sheaf("create", "even", "in.jsonl", "--skip-succeeded", "last", order)
                #expect(run.code == 0 && run.output.isEmpty, "\(run.talk)")
                #expect(run.talk.contains("nothing to create"), "\(run.talk)")
                let json = try await bench.sheaf(
                    "create",
                    "even",
                    "in.jsonl",
                    "--skip-succeeded",
                    "last",
                    order,
                    "--json"
                )
                #expect(try json.json["batch_id"] == .null)
            }
            #expect(try await bench.sheaf("list", "--json").json.arrayValue?.count == 1)
        }
    }

    @Test("A record is left out only if all of its tasks succeeded") func allTasksOfARecordMustHaveSucceeded()
        async throws
    {
        try await Workbench.with(configuration: configuration) { bench in
            try bench.write(records(0..<4), to: "in.jsonl")
            let variants = ["-p", "n=[\"r1\",\"r2\",\"x\"]"]
            try await bench.sheaf(["create", "one", "in.jsonl", "--batch-id", "first"] + variants)
            #expect(try await bench.sheaf("run", "--until-empty").code == 0)
            let next = try await bench.sheaf(
                ["create", "one", "in.jsonl", "--skip-succeeded", "first", "--json"] + variants
            )
            #expect(try next.json["total"] == 6)
            #expect(try next.json["skipped"] == 2)
            #expect(try await bench.sheaf("create", "one", "in.jsonl", "--skip-succeeded", "nosuch").code == 5)
            #expect(
                try await bench.sheaf("create", "one", "in.jsonl", "--skip-succeeded", "first", "--dry-run").code == 64
            )
        }
    }
}
