import SheafCore
import SheafTestTools
import Testing

/// From input to results with every kind of input, as a user does it.
@Suite(.timeLimit(.minutes(2))) struct JourneyTests {
    /// Creates, runs, and checks that every index has one row.
    private func travel(_ bench: Workbench, total: Int, _ create: Workbench.Run) async throws -> [JSONValue] {
        #expect(create.code == 0, "\(create.talk)")
        let id = try #require(try create.json["batch_id"]?.stringValue)
        #expect(try create.json["total"]?.intValue == total)
        #expect(try await bench.sheaf("run", "--until-empty").code == 0)
        let status = try await bench.sheaf("status", id, "--json").json
        #expect(status["status"] == "completed")
        #expect(BatchCounts(json: status["counts"] ?? [:]).total == total)
        let rows = try await bench.sheaf("results", "last").lines.map { try JSON.parse($0) }
        #expect(rows.compactMap { $0["index"]?.intValue }.sorted() == Array(0..<total))
        return rows
    }

    @Test("JSONL goes from input to results") func jsonLines() async throws {
        try await Workbench.with { bench in
            let lines = (0..<50).map { #"{"id":"r\#($0)","text":"a b"}"# }
            try bench.write(lines.joined(separator: "\n"), to: "in.jsonl")
            let rows = try await travel(bench, total: 50, bench.sheaf("words", "in.jsonl", "--json"))
            #expect(Set(rows.compactMap { $0["record_id"]?.stringValue }) == Set((0..<50).map { "r\($0)" }))
            #expect(rows.allSatisfy { $0["status"] == "succeeded" && $0["error"] == .null })
        }
    }

    @Test("CSV with quotes and line breaks goes from input to results") func commaSeparated() async throws {
        try await Workbench.with { bench in
            try bench.write("id,text\r\na,\"one\r\ntwo\"\r\nb,\"say \"\"hi\"\"\"\r\n", to: "in.csv")
            let rows = try await travel(bench, total: 2, bench.sheaf("create", "echo", "in.csv", "--json"))
            let byID = Dictionary(uniqueKeysWithValues: rows.map { ($0["record_id"]?.stringValue ?? "", $0["output"]) })
            #expect(byID["a"]??["text"] == "one\r\ntwo")
            #expect(byID["b"]??["text"] == "say \"hi\"")
        }
    }

    @Test("A folder has one record per file") func folderOfFiles() async throws {
        try await Workbench.with { bench in
            for number in 0..<5 { try bench.write("one two three\n", to: "texts/\(number).txt") }
            let rows = try await travel(bench, total: 5, bench.sheaf("create", "words", "texts", "--json"))
            #expect(rows.allSatisfy { $0["output"] == 3 })
        }
    }

    @Test(
        "Files, a glob and a folder make the same records",
        arguments: ["texts/0.txt texts/1.txt texts/2.txt", "'texts/*.txt'", "texts/*.txt", "texts"]
    )
    func everyWayToNameTexts(input: String) async throws {
        try await Workbench.with { bench in
            for number in 0..<3 { try bench.write("one two\nthree\n", to: "texts/\(number).txt") }
            let create = try await bench.shell("$SHEAF words \(input) --json")
            #expect(try await travel(bench, total: 3, create).allSatisfy { $0["output"] == 3 })
        }
    }

    @Test("Standard input has one record per line") func standardInput() async throws {
        try await Workbench.with { bench in
            let rows = try await travel(bench, total: 3, bench.sheaf("echo", "-", "--json", input: "x\ny\nz\n"))
            #expect(Set(rows.compactMap { $0["output"]?.stringValue }) == ["x", "y", "z"])
        }
    }

    @Test("Without an input, the source of the flow is read") func sourceOfTheFlow() async throws {
        try await Workbench.with { bench in
            try bench.write("{\"a\":1}\n{\"a\":2}\n", to: "source.jsonl")
            _ = try await travel(bench, total: 2, bench.sheaf("sourced", "--json"))
        }
    }

    @Test("The source of a flow gives the same record ids from every folder", arguments: [".", "deep/er"])
    func recordIDsOfASource(folder: String) async throws {
        let configuration = #"flows: { words: { exec: ["wc", "-w"], source: texts/*.txt } }"#
        try await Workbench.with(configuration: configuration) { bench in
            for number in 0..<2 { try bench.write("one two\n", to: "texts/\(number).txt") }
            let create = try await bench.shell("mkdir -p \(folder) && cd \(folder) && $SHEAF words --json")
            let rows = try await travel(bench, total: 2, create)
            #expect(Set(rows.compactMap { $0["record_id"]?.stringValue }) == ["texts/0.txt", "texts/1.txt"])
            #expect(try await bench.sheaf("status", "last").output.contains("texts/*.txt"))
            let gone = #"flows: { words: { exec: ["wc", "-w"], source: nosuch/*.txt } }"#
            try bench.write(gone, to: "sheaf.yaml")
            let missing = try await bench.shell("cd \(folder) && $SHEAF words")
            #expect(missing.code == 66)
            #expect(missing.talk.contains("nosuch/*.txt") && missing.talk.contains("starts from \(bench.folder)"))
        }
    }

    @Test("run -n 3 runs three tasks") func limitOfTasks() async throws {
        try await Workbench.with { bench in
            let input = (0..<10).map(String.init).joined(separator: "\n")
            #expect(try await bench.sheaf("create", "echo", "-", input: input).code == 0)
            let run = try await bench.sheaf("run", "-n", "3")
            #expect(run.code == 0)
            #expect(run.talk.contains("ran 3 tasks"))
            let counts = BatchCounts(json: try await bench.sheaf("status", "last", "--json").json["counts"] ?? [:])
            #expect(counts.settled == 3)
            #expect(counts.total == 10)
        }
    }

    @Test("--max-records is exact", arguments: [1, 2, 7, 10, 11]) func maximumOfRecordsIsExact(limit: Int) async throws
    {
        try await Workbench.with { bench in
            let input = (0..<10).map(String.init).joined(separator: "\n")
            let create = try await bench.sheaf(
                "create",
                "echo",
                "-",
                "--max-records",
                "\(limit)",
                "--json",
                input: input
            )
            #expect(try create.json["total"]?.intValue == min(limit, 10))
        }
    }

    @Test("The seed decides the order") func seedDecidesTheOrder() async throws {
        try await Workbench.with { bench in
            try bench.write((0..<100).map(String.init).joined(separator: "\n"), to: "in.txt")
            func sample(_ arguments: String) async throws -> String {
                try await bench.shell("$SHEAF create echo in.txt --dry-run \(arguments) 2>/dev/null").output
            }
            let first = try await sample("--seed 7")
            #expect(try await sample("--seed 7") == first)
            #expect(try await sample("--no-shuffle") == "\"0\"\n")
            var seeds: Set<String> = []
            for seed in 0..<5 { seeds.insert(try await sample("--seed \(seed)")) }
            #expect(seeds.count > 1)
        }
    }

    @Test("Lists of parameters multiply the tasks") func listsOfParametersMakeVariants() async throws {
        try await Workbench.with { bench in
            let create = try await bench.sheaf(
                "create",
                "echo",
                "-",
                "-p",
                #"lang=["de","fr"]"#,
                "-p",
                "n=[1,2,3]",
                "--json",
                input: "a\nb\n"
            )
            #expect(try create.json["total"]?.intValue == 12)
            let empty = try await bench.sheaf("create", "echo", "-", "-p", "lang=[]", input: "a\n")
            #expect(empty.code == 64)
            #expect(empty.talk.contains("lang"))
        }
    }

    @Test("--set, variables and flags override the broker") func settingsAreOverridden() async throws {
        try await Workbench.with { bench in
            let elsewhere = "\(bench.folder)/elsewhere"
            #expect(try await bench.sheaf("echo", "-", "--set", "broker=embedded:\(elsewhere)", input: "x").code == 0)
            #expect(try await bench.sheaf("list", "--json").output == "[]\n")
            // A flag takes precedence over a variable, and a variable over the file.
            let variable = ["SHEAF_BROKER": "embedded:\(elsewhere)"]
            #expect(try await bench.sheaf("list", "--json", environment: variable).json.arrayValue?.count == 1)
            let flag = try await bench.sheaf("list", "--json", "--broker", "embedded", environment: variable)
            #expect(flag.output == "[]\n")
            #expect(
                try await bench.sheaf("--broker", "embedded:\(elsewhere)", "list", "--json").json.arrayValue?.count == 1
            )
        }
    }
}
