import Glibc
import SheafCore
import SheafTestTools
import Testing

/// Resuming a creation: when it is refused, and with which message.
@Suite(.timeLimit(.minutes(2))) struct ResumeTests {
    /// Kills a creation while it waits for the end of a pipe.
    ///
    /// The pipe comes last in the input, so that everything before it is published.
    private func interrupted(_ bench: Workbench, _ arguments: String = "") async throws {
        try bench.write((0..<20).map { "{\"id\":\"r\($0)\"}\n" }.joined(), to: "in.jsonl")
        let line = "mkfifo more.jsonl; exec 3<>more.jsonl; exec $SHEAF create echo in.jsonl more.jsonl --no-shuffle"
        let run = try await bench.shell("\(line) --batch-id b1 \(arguments)") { number in
            try await bench.until("the batch is there") {
                try await bench.sheaf("status", "b1", "--json").code == 0
            }
            kill(number, SIGKILL)
        }
        #expect(run.code == 137, "\(run.talk)")
    }

    @Test("Every command shows how to continue an interrupted creation") func interruptionIsExplained() async throws {
        try await Workbench.with { bench in
            try await interrupted(bench)
            let advice = "sheaf create --resume b1"
            #expect(try await bench.sheaf("status", "b1").output.contains(advice))
            #expect(try await bench.sheaf("wait", "b1").talk.contains(advice))
            #expect(try await bench.sheaf("watch", "b1").talk.contains(advice))
            #expect(try await bench.sheaf("run", "--until-empty").talk.contains(advice))
        }
    }

    @Test("The rest of a creation is published") func theRestIsPublished() async throws {
        try await Workbench.with { bench in
            try await interrupted(bench, "--max-records 30 -p 'n=[1,2]'")
            let line = "seq 21 40 > rest; cat rest > more.jsonl & $SHEAF create --resume b1 --json"
            let resumed = try await bench.shell(line)
            #expect(resumed.code == 0, "\(resumed.talk)")
            #expect(try resumed.json["total"] == 60)
            #expect(try await bench.sheaf("run", "--until-empty", "--batch", "b1").code == 0)
            let rows = try await bench.sheaf("results", "b1", "--ordered").lines.map { try JSON.parse($0) }
            #expect(rows.compactMap { $0["index"]?.intValue } == Array(0..<60))
            #expect(rows[0]["record_id"] == "r0" && rows[59]["record_id"] == "more.jsonl:10")
        }
    }

    @Test("A changed input is refused") func anotherInputIsRefused() async throws {
        try await Workbench.with { bench in
            try await interrupted(bench)
            try bench.write("{\"id\":\"other\"}\n", to: "in.jsonl")
            let run = try await bench.sheaf("create", "--resume", "b1")
            #expect(run.code == 65, "\(run.talk)")
            #expect(run.talk.contains("in.jsonl: has 15 bytes; it had 250"), "\(run.talk)")
            #expect(try await bench.shell("rm in.jsonl; $SHEAF create --resume b1").code == 66)
        }
    }

    @Test(
        "Different options are refused",
        arguments: [
            (["--seed", "7"], "--seed was not given, not 7"),
            (["--max-records", "9"], "--max-records was not given, not 9"),
            (["--shuffle"], "--shuffle was false, not true"), (["-p", "a=1"], "--parameter was {}, not {\"a\":1}"),
            (["--flow", "words"], "its flow is echo, not words"),
            (["other.jsonl"], "its input is in.jsonl more.jsonl, not other.jsonl"),
            (["--error-policy", "stop"], "--error-policy was continue, not stop"),
            (["--batch-id", "b2"], "--batch-id was b1, not b2"),
        ]
    )
    func otherOptionsAreRefused(arguments: [String], complaint: String) async throws {
        try await Workbench.with { bench in
            try await interrupted(bench)
            let run = try await bench.sheaf(["create", "--resume", "b1"] + arguments)
            #expect(run.code == 64, "\(run.talk)")
            #expect(run.talk.contains(complaint), "\(run.talk)")
        }
    }

    @Test("A complete or cancelled batch is not resumed") func nothingToResume() async throws {
        try await Workbench.with { bench in
            #expect(try await bench.sheaf("create", "--resume", "last").code == 5)
            try await bench.sheaf("create", "echo", "-", "--batch-id", "whole", input: "a\nb\n")
            let whole = try await bench.sheaf("create", "--resume", "last", "--json")
            #expect(whole.code == 0 && whole.talk.contains("nothing to resume"), "\(whole.talk)")
            #expect(try whole.json["total"] == 2)
            try await interrupted(bench)
            #expect(try await bench.sheaf("cancel", "b1").code == 0)
            #expect(try await bench.sheaf("create", "--resume", "b1").code == 6)
            #expect(try await bench.sheaf("create", "--resume", "b1", "--dry-run").code == 64)
        }
    }
}
