import SheafCore
import SheafTestTools
import Testing

/// What the logs record about a task, as `sheaf events` prints it.
@Suite(.timeLimit(.minutes(2))) struct EventTests {
    private let configuration = #"""
        flows:
          third:
            exec: ["bash", "-c", "[ $SHEAF_ATTEMPT -ge 3 ] || { echo attempt $SHEAF_ATTEMPT >&2; exit 75; }"]
            retry_delay: 10ms
        """#

    @Test("The events of a task show both failed attempts and then the success")
    func attempts() async throws {
        try await Workbench.with(configuration: configuration) { bench in
            try await bench.sheaf("create", "third", "-", "--batch-id", "b1", "--no-shuffle", input: "a\nb\n")
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "b1").code == 0)
            let run = try await bench.sheaf("events", "b1", "--index", "1", "--json")
            #expect(run.code == 0, "\(run.talk)")
            let events = try run.json.arrayValue ?? []
            let ofTask = events.filter { $0["index"] == 1 }
            let ends = ofTask.filter { $0["attempt"] != .null }
            #expect(ends.compactMap { $0["event"]?.stringValue } == ["attempt-failed", "attempt-failed", "succeeded"])
            #expect(ends.compactMap { $0["attempt"]?.intValue } == [1, 2, 3])
            #expect(ends.prefix(2).allSatisfy { $0["error"]?["type"] == "exit-code" && $0["generation"] == 0 })
            #expect(ends.allSatisfy { $0["worker"]?.stringValue?.isEmpty == false && $0["ignored"] == false })
            #expect(ofTask.filter { $0["event"] == "delayed" }.count == 2)
            let words = events.filter { $0["log"] == "journal" }.compactMap { $0["event"]?.stringValue }
            #expect(words.first == "created" && words.contains("sealed") && words.last == "finished")
            #expect(!events.contains { $0["index"] == 0 })
        }
    }

    @Test("The events of a batch are those of all tasks, one per line")
    func wholeBatch() async throws {
        try await Workbench.with(configuration: configuration) { bench in
            try await bench.sheaf("create", "third", "-", "--batch-id", "b1", input: "a\nb\n")
            #expect(try await bench.sheaf("run", "--until-empty").code == 0)
            let run = try await bench.sheaf("events", "last")
            #expect(run.code == 0 && run.talk.isEmpty, "\(run.talk)")
            #expect(run.lines.filter { $0.contains("  attempt-failed  generation 0  attempt ") }.count == 4)
            #expect(run.lines.filter { $0.contains("  succeeded  generation 0  attempt 3  by ") }.count == 2)
            #expect(run.lines.first?.contains("  journal:") == true && run.lines.first?.contains("  created") == true)
            #expect(try await bench.sheaf("events", "b1", "--index", "2").code == 5)
            #expect(try await bench.sheaf("events", "nosuch").code == 5)
        }
    }
}
