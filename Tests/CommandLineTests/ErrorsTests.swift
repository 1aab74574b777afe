import SheafCore
import SheafTestTools
import Testing

/// Failed tasks grouped by their error, and results with their records, as commands print them.
@Suite(.timeLimit(.minutes(2))) struct ErrorsTests {
    private let configuration = #"""
        flows:
          picky:
            exec: ["bash", "-c", "grep -q bad && { echo line $RANDOM is bad >&2; exit 3; }; echo ok"]
        """#

    @Test("The numbers of a group's tasks are what a retry takes")
    func groups() async throws {
        try await Workbench.with(configuration: configuration) { bench in
            let input = "good\nbad 1\nbad 2\n"
            let options = ["--batch-id", "b1", "--no-shuffle", "--error-policy", "continue"]
            try await bench.sheaf(["create", "picky", "-"] + options, input: input)
            try await bench.sheaf("run", "--until-empty")
            let json = try await bench.sheaf("errors", "b1", "--json")
            #expect(json.code == 0, "\(json.talk)")
            let groups = try json.json.arrayValue ?? []
            #expect(groups.count == 1 && groups.first?["count"] == 2 && groups.first?["error_type"] == "exit-code")
            let group = try #require(groups.first?["group"]?.stringValue)
            #expect(try await bench.sheaf("errors", "b1", "--group", group).lines == ["1-2"])
            #expect(try await bench.sheaf("errors", "b1").lines.last?.contains(group) == true)
            #expect(try await bench.sheaf("errors", "b1", "--group", "nosuch").code == 5)
            #expect(try await bench.sheaf("retry", "b1", "--index", "1-2").code == 0)
            #expect(try await bench.sheaf("errors", "b1", "--json").json == [])
        }
    }

    @Test("Results are joined with the input that the batch was created from")
    func merge() async throws {
        try await Workbench.with(configuration: configuration) { bench in
            try bench.write("id,text\na,good\nb,bad 1\n", to: "rows.csv")
            try await bench.sheaf("create", "picky", "rows.csv", "--batch-id", "b1", "--error-policy", "continue")
            try await bench.sheaf("run", "--until-empty")
            let run = try await bench.sheaf("results", "b1", "--merge", "--format", "csv")
            #expect(run.code == 0, "\(run.talk)")
            #expect(run.lines.first == "id,text,_status,_output,_error")
            #expect(run.lines.contains("a,good,succeeded,ok,"))
            #expect(run.lines.contains { $0.hasPrefix("b,bad 1,failed,,") })
            #expect(try await bench.sheaf("results", "b1", "--merge", "--ordered").code == 64)
        }
    }
}
