import SheafCore
import SheafTestTools
import Testing

/// Managing batches, as a user types it.
@Suite(.timeLimit(.minutes(2))) struct ManagingTests {
    /// Calls the body with a flow that fails for records with "bad" until there is a file `fixed`.
    private func with(_ body: (Workbench) async throws -> Void) async throws {
        let configuration = #"""
            flows:
              fixable: { exec: ["bash", "-c", "[ -e fixed ] || ! grep -q bad"], retries: 0 }
            """#
        try await Workbench.with(configuration: configuration, body)
    }

    private func counts(_ run: Workbench.Run) throws -> BatchCounts {
        BatchCounts(json: try run.json["counts"] ?? [:])
    }

    @Test("retry runs failed tasks again") func whatFailedRunsAgain() async throws {
        try await with { bench in
            try await bench.sheaf("create", "fixable", "-", "--no-shuffle", input: "good\nbad\ngood\nbad\n")
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "last").code == 1)
            let none = try await bench.sheaf("retry", "last", "--index", "0,2")
            #expect(none.code == 0 && none.output.isEmpty)
            #expect(none.talk.contains("none of these tasks"), "\(none.talk)")
            let one = try await bench.sheaf("retry", "last", "--index", "0-1", "--json")
            #expect(one.code == 0, "\(one.talk)")
            #expect(try one.json["retried"] == 1 && one.json["generation"] == 1)
            #expect(try one.json["left_out"]?["not_failed"] == 1)
            #expect(try counts(one) == BatchCounts(pending: 1, succeeded: 2, failed: 1))
            try bench.write("", to: "fixed")
            let all = try await bench.sheaf("retry", "last")
            #expect(all.code == 0 && all.talk.contains("1 task of batch"), "\(all.talk)")
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "last").code == 0)
            let status = try await bench.sheaf("status", "last", "--json")
            #expect(try status.json["status"] == "completed")
            #expect(try counts(status) == BatchCounts(succeeded: 4))
            let beyond = try await bench.sheaf("retry", "last", "--index", "4")
            #expect(beyond.code == 5 && beyond.talk.contains("from 0 to 3"), "\(beyond.talk)")
        }
    }

    @Test("A batch is paused and resumed") func pausedAndResumed() async throws {
        try await with { bench in
            try await bench.sheaf("create", "fixable", "-", input: "a\nb\n")
            for word in ["is paused:", "is already paused:"] {
                let pause = try await bench.sheaf("pause", "last", "--json")
                #expect(pause.code == 0 && pause.talk.contains(word), "\(pause.talk)")
                #expect(try pause.json["status"] == "paused")
                #expect(try pause.json["changed"]?.boolValue == (word == "is paused:"))
            }
            #expect(try await bench.sheaf("run", "--until-empty").talk.contains("no tasks were run"))
            for word in ["continues:", "is not paused or stopped:"] {
                let resume = try await bench.sheaf("resume", "last")
                #expect(resume.code == 0 && resume.talk.contains(word), "\(resume.talk)")
            }
            #expect(try await bench.sheaf("run", "--until-empty").code == 0)
            for command in ["pause", "resume", "cancel"] {
                let late = try await bench.sheaf(command, "last")
                #expect(late.code == 4 && late.talk.contains("it has already ended (completed)"), "\(late.talk)")
            }
        }
    }

    @Test("retry --missing reads the input again") func lostTasksComeFromTheInputAgain() async throws {
        try await with { bench in
            try bench.write("a\nb\nc\n", to: "in.txt")
            try await bench.sheaf("create", "fixable", "in.txt", "--max-records", "2", "--seed", "5")
            let refused = try await bench.sheaf("retry", "last", "--missing", "in.txt")
            #expect(refused.code == 4 && refused.talk.contains("2 wait in their queue"), "\(refused.talk)")
            let forced = try await bench.sheaf("retry", "last", "--missing", "--force", "in.txt", "--json")
            #expect(forced.code == 0, "\(forced.talk)")
            #expect(try forced.json["retried"] == 2)
            let known = try await bench.sheaf("retry", "last", "--missing", "--force")
            #expect(known.code == 0, "the journal says what the input was: \(known.talk)")
            try bench.write("a\nb\n", to: "other.txt")
            let other = try await bench.sheaf("retry", "last", "--missing", "--force", "other.txt")
            #expect(other.code == 64 && other.talk.contains("its input is in.txt, not other.txt"), "\(other.talk)")
            try bench.write("a\nB\nc\n", to: "in.txt")
            let changed = try await bench.sheaf("retry", "last", "--missing", "--force")
            #expect(changed.code == 65 && changed.talk.contains("in.txt: was changed since"), "\(changed.talk)")
        }
    }

    @Test("set changes max_running") func limitsAreChanged() async throws {
        try await with { bench in
            try await bench.sheaf("create", "fixable", "-", input: "a\n")
            let set = try await bench.sheaf("set", "last", "max_running=20", "--json")
            #expect(set.code == 0 && set.talk.contains("at most 20 tasks at once"), "\(set.talk)")
            #expect(try set.json["max_running"] == 20)
            #expect(try await bench.sheaf("status", "last").output.contains("at most 20 at once"))
            #expect(try await bench.sheaf("set", "last", "max_running=none", "--json").json["max_running"] == .null)
            for (setting, words) in [("speed=9", "known settings: max_running=N"), ("max_running=0", "from 1 to")] {
                let wrong = try await bench.sheaf("set", "last", setting)
                #expect(wrong.code == 64 && wrong.talk.contains(words), "\(wrong.talk)")
            }
        }
    }

    @Test("delete removes a batch and its id") func deletedForGood() async throws {
        try await with { bench in
            try await bench.sheaf("create", "fixable", "-", "--batch-id", "one", input: "a\n")
            #expect(try await bench.sheaf("run", "--until-empty").code == 0)
            try await bench.sheaf("create", "fixable", "-", "--batch-id", "two", input: "a\n")
            let refused = try await bench.sheaf("delete", "one", "two", "--json")
            #expect(
                refused.code == 4
                    && refused.talk.contains("cannot delete batch 'two': it has not ended; 'sheaf cancel two'"),
                "\(refused.talk)"
            )
            #expect(try refused.json.arrayValue?.count == 1)
            #expect(try await bench.sheaf("results", "one").code == 5)
            #expect(try await bench.sheaf("delete", "two", "--force").code == 0)
            let again = try await bench.sheaf("delete", "two")
            #expect(again.code == 0 && again.talk.contains("was already deleted"), "\(again.talk)")
            #expect(try await bench.sheaf("list", "--json").output == "[]\n")
            #expect(try await bench.sheaf("delete", "nosuch").code == 5)
        }
    }

    @Test("prune deletes batches that ended long ago") func whatEndedLongAgoIsPruned() async throws {
        try await with { bench in
            for id in ["old", "bad", "open"] {
                let input = id == "bad" ? "bad\n" : "good\n"
                try await bench.sheaf("create", "fixable", "-", "--batch-id", id, input: input)
                if id != "open" { try await bench.sheaf("run", "--until-empty") }
            }
            try await bench.sheaf("cancel", "open")
            try await bench.sheaf("create", "fixable", "-", "--batch-id", "new", input: "a\n")
            #expect(try await bench.sheaf("prune", "--older-than", "1h", "--json").output == "[]\n")
            let dry = try await bench.sheaf("prune", "--older-than", "0", "--dry-run", "--json")
            #expect(try dry.json.arrayValue?.compactMap { $0["batch_id"]?.stringValue } == ["old", "bad", "open"])
            #expect(try await bench.sheaf("list", "--json").json.arrayValue?.count == 4)
            #expect(try await bench.sheaf("prune", "--older-than", "0", "--status", "cancelled").code == 0)
            #expect(try await bench.sheaf("prune", "--older-than", "0").code == 0)
            let left = try await bench.sheaf("list", "--json").json.arrayValue
            #expect(left?.compactMap { $0["batch_id"]?.stringValue } == ["new"])
            #expect(try await bench.sheaf("prune", "--older-than", "0", "--status", "paused").code == 64)
        }
    }

    @Test("The commands for dead letters work without dead letters") func noDeadLetters() async throws {
        try await with { bench async throws in
            #expect(try await bench.sheaf("dead", "--json").output == "[]\n")
            #expect(try await bench.sheaf("dead", "list").talk.contains("there are no dead letters"))
            #expect(try await bench.sheaf("dead", "show", "3").code == 5)
            #expect(try await bench.sheaf("dead", "requeue", "3").code == 5)
            #expect(try await bench.sheaf("dead", "requeue", "--all", "--json").output == "[]\n")
            #expect(try await bench.sheaf("dead", "requeue").code == 64)
            #expect(try await bench.sheaf("dead", "purge", "--json").json["purged"] == 0)
        }
    }

    @Test(
        "An unknown batch exits with 5",
        arguments: [
            ["pause", "nosuch"], ["resume", "nosuch"], ["retry", "nosuch"], ["retry", "nosuch", "--missing"],
            ["set", "nosuch", "max_running=1"],
        ]
    )
    func unknownBatches(arguments: [String]) async throws {
        try await with { bench in
            let run = try await bench.sheaf(arguments)
            #expect(run.code == 5 && run.talk.hasPrefix("sheaf: "), "\(run.talk)")
        }
    }

    @Test(
        "Invalid command lines exit with 64",
        arguments: [
            ["retry", "last", "--missing", "--index", "1"], ["retry", "last", "in.txt"], ["retry", "last", "--force"],
            ["retry", "last", "--index", "x"], ["prune"], ["set", "last"], ["delete"],
        ]
    )
    func invalidCommandLines(arguments: [String]) async throws {
        try await with { bench in
            let run = try await bench.sheaf(arguments)
            #expect(run.code == 64, "\(run.talk)")
        }
    }

    @Test("run reports the tasks that were cancelled while they ran") func reportsCancelledTasks() async throws {
        try await Workbench.with { bench in
            try await bench.sheaf("create", "endless", "-", "--batch-id", "b1", input: "a\n")
            let run = try await bench.sheaf("run", "--until-empty") { _ in
                try await bench.until("the task runs") {
                    try await bench.sheaf("status", "b1", "--json").json["counts"]?["running"] == 1
                }
                #expect(try await bench.sheaf("cancel", "b1", "--now").code == 0)
            }
            #expect(run.talk.contains("0 succeeded, 0 failed, 1 cancelled"), "\(run.talk)")
        }
    }
}
