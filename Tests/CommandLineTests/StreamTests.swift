import Foundation
import Glibc
import SheafCore
import SheafTestTools
import Testing

/// Pipes, files and signals.
@Suite(.timeLimit(.minutes(2))) struct StreamTests {
    private func manyResults(_ bench: Workbench, count: Int = 5000) async throws {
        let input = (0..<count).map(String.init).joined(separator: "\n")
        try await bench.sheaf("create", "echo", "-", input: input)
        #expect(try await bench.sheaf("run", "--until-empty", "-c", "20").code == 0)
    }

    @Test("A reader that exits early is no error") func readerThatLeavesEarly() async throws {
        try await Workbench.with { bench in
            try await manyResults(bench)
            let run = try await bench.shell(#"$SHEAF results last | head -n 1; echo "${PIPESTATUS[0]}""#)
            #expect(run.lines.count == 2)
            #expect(run.lines.last == "0")
            #expect(run.talk.isEmpty)
        }
    }

    @Test("Results are written to a file") func resultsIntoAFile() async throws {
        try await Workbench.with { bench in
            try await manyResults(bench, count: 20)
            try bench.write("old", to: "out.csv")
            #expect(try await bench.sheaf("results", "last", "-o", "out.csv", "--ordered").code == 0)
            let lines = try bench.read("out.csv").split(separator: "\n")
            #expect(lines.count == 21)
            #expect(lines.dropFirst().map { $0.split(separator: ",")[1] } == (0..<20).map { "\($0)" })
            let left = try FileManager.default.contentsOfDirectory(atPath: bench.folder)
            #expect(left.filter { $0.contains(".part") }.isEmpty)
        }
    }

    @Test("A full disk leaves the old file") func fullDiskLeavesTheOldFile() async throws {
        try await Workbench.with { bench in
            try await manyResults(bench)
            try bench.write("old", to: "out.jsonl")
            // A limit on the size of files simulates a full disk.
            let run = try await bench.shell("ulimit -f 512; trap '' XFSZ; $SHEAF results last -o out.jsonl")
            #expect(run.code == 74)
            #expect(run.talk.contains("out.jsonl: File too large"))
            #expect(try bench.read("out.jsonl") == "old")
            let new = try await bench.shell("ulimit -f 512; trap '' XFSZ; $SHEAF results last -o new.jsonl")
            #expect(new.code == 74)
            #expect(!FileManager.default.fileExists(atPath: "\(bench.folder)/new.jsonl"))
            let left = try FileManager.default.contentsOfDirectory(atPath: bench.folder)
            #expect(left.filter { $0.contains(".part") }.isEmpty)
            for (line, name) in [("> /dev/full", "standard output"), ("-o /dev/full", "/dev/full")] {
                let full = try await bench.shell("$SHEAF results last \(line)")
                #expect(full.code == 74)
                #expect(full.talk.contains("\(name): No space left on device"))
                #expect(!full.talk.contains("wrote"))
            }
            #expect(try await bench.sheaf("results", "last", "-o", "nosuch/out.jsonl").code == 74)
        }
    }

    @Test(
        "The first signal lets running tasks finish",
        arguments: [(SIGINT, 130 as Int32), (SIGTERM, 143)] as [(Int32, Int32)]
    )
    func firstSignalFinishesWhatRuns(signal: Int32, code: Int32) async throws {
        try await Workbench.with { bench in
            try await bench.sheaf("create", "slow", "-", input: (0..<50).map(String.init).joined(separator: "\n"))
            let run = try await bench.sheaf("run", "-c", "2", limit: .seconds(20)) { number in
                try await bench.untilRunning()
                kill(number, signal)
            }
            #expect(run.code == code)
            #expect(run.talk.contains("0 failed"))
            #expect(!run.talk.contains("returned"))
            let counts = BatchCounts(json: try await bench.sheaf("status", "last", "--json").json["counts"] ?? [:])
            #expect((1...10).contains(counts.succeeded))
            #expect(counts.total == 50)
        }
    }

    @Test("The second signal returns running tasks to the queue") func secondSignalReturnsRunningTasks() async throws {
        try await Workbench.with { bench in
            try await bench.sheaf("create", "endless", "-", input: "a\nb\n")
            let run = try await bench.sheaf("run", limit: .seconds(20)) { number in
                try await bench.untilRunning()
                kill(number, SIGINT)
                try await Task.sleep(for: .milliseconds(300))
                kill(number, SIGINT)
            }
            #expect(run.code == 130)
            #expect(run.talk.contains("2 returned to the queue"))
            let counts = BatchCounts(json: try await bench.sheaf("status", "last", "--json").json["counts"] ?? [:])
            #expect(counts.total == 2)
            #expect(counts.settled == 0)
        }
    }

    @Test("A signal ends a wait") func signalEndsAWait() async throws {
        try await Workbench.with { bench in
            try await bench.sheaf("create", "echo", "-", input: "a\n")
            let run = try await bench.sheaf("wait", "last", limit: .seconds(20)) { number in
                try await Task.sleep(for: .seconds(1))
                kill(number, SIGTERM)
            }
            #expect(run.code == 143)
        }
    }

    @Test("A creation that waits for standard input can be interrupted")
    func standardInputThatNeverComesCanBeInterrupted() async throws {
        try await Workbench.with { bench in
            let run = try await bench.shell(
                "mkfifo never; exec 3<>never; $SHEAF create echo - <&3 & sleep 1; kill -TERM $!; wait $!; echo $?"
            )
            #expect(run.lines.first == "143")
            #expect(try await bench.sheaf("list", "--json").output == "[]\n")
        }
    }

    @Test("watch draws a bar on a terminal") func progressOnATerminal() async throws {
        try await Workbench.with { bench in
            try await bench.sheaf("create", "slow", "-", input: "a\nb\nc\n")
            let run = try await bench.shell(
                #"$SHEAF run -q --until-empty -c 1 & script -qec "$SHEAF watch last" /dev/null; wait"#
            )
            #expect(run.output.contains("/3"))
            #expect(run.output.contains("\r\u{1B}[2K"))
            #expect(run.output.contains("completed: 3 succeeded"))
        }
    }
}

extension Workbench {
    /// Waits until the newest batch has started.
    func untilRunning() async throws {
        for _ in 0..<100 {
            if try await sheaf("status", "last", "--json").json["started_at"]?.stringValue != nil { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        Issue.record("the batch was not started")
    }
}
