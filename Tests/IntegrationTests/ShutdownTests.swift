import Glibc
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// Workers that receive SIGTERM while short and long tasks run.
    @Suite struct ShutdownTests {
        @Test(
            "After SIGTERM, tasks that end within the grace period are kept and the others return to the queue",
            arguments: BrokerKind.allCases
        )
        func whatEndsInTimeIsKeptAndTheRestGoesBack(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                // Even indices are short tasks, odd indices are long ones.
                let input = (0..<12).map { $0.isMultiple(of: 2) ? "1\n" : "30\n" }.joined()
                try await site.create("sleeper", "-", "--no-shuffle", input: input)
                let run = try await site.sheaf("run", "-c", "6", "--grace", "3s") { number in
                    try await site.bench.until("six tasks run") { try site.noted("begun").count == 6 }
                    kill(number, SIGTERM)
                }
                #expect(run.code == 143, "\(run.talk)")
                #expect(run.talk.contains("have not ended within"), "\(run.talk)")
                let ended = try site.noted("ended")
                #expect(ended.sorted() == [0, 2, 4], "the short ones of the first six")
                #expect(Set(try site.noted("begun")) == Set(0..<6), "no task starts after the signal")
                let counts = try await site.status().counts
                #expect(counts == BatchCounts(pending: 9, succeeded: 3))
                let rows = try await site.rows()
                #expect(rows.allSatisfy { $0["status"] == "succeeded" }, "an interrupted task is not a failure")
                try site.bench.write(
                    "flows: { sleeper: { exec: [bash, -c, 'echo \"$SHEAF_TASK_INDEX\" >> again'] } }",
                    to: "sheaf.yaml"
                )
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                try await site.complete(BatchCounts(succeeded: 12))
                #expect(try site.noted("again").sorted() == [1, 3, 5, 6, 7, 8, 9, 10, 11])
            }
        }

        @Test(
            "With --exit-zero-after-drain, a worker whose running tasks ended in time exits with 0",
            arguments: BrokerKind.allCases
        )
        func aDrainedWorkerExitsWithZero(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                try await site.create("sleeper", "-", input: String(repeating: "1\n", count: 8))
                let run = try await site.sheaf("run", "-c", "2", "--until-empty", "--exit-zero-after-drain") { number in
                    try await site.bench.until("two tasks run") { try site.noted("begun").count == 2 }
                    kill(number, SIGTERM)
                }
                #expect(run.code == 0, "\(run.talk)")
                #expect(try site.noted("ended").sorted() == site.noted("begun").sorted())
                #expect(try await site.status().counts == BatchCounts(pending: 6, succeeded: 2))
                // The same by configuration, and only for SIGTERM.
                let variables = ["SHEAF_EXIT_ZERO_AFTER_DRAIN": "true"]
                for (signal, code) in [(SIGTERM, 0 as Int32), (SIGINT, 130)] {
                    let before = try site.noted("begun").count
                    let other = try await site.bench.sheaf(["run", "-c", "2"], environment: variables) { number in
                        try await site.bench.until("more tasks run") { try site.noted("begun").count > before }
                        kill(number, signal)
                    }
                    #expect(other.code == code, "\(other.talk)")
                }
            }
        }

        @Test(
            "With --exit-zero-after-drain, a worker that had to end tasks exits with 143",
            arguments: BrokerKind.allCases
        )
        func anUnfinishedDrainKeepsItsExitCode(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                try await site.create("sleeper", "-", input: "30\n")
                let late = ["run", "--grace", "1s", "--exit-zero-after-drain"]
                let cut = try await site.bench.sheaf(late) { number in
                    try await site.bench.until("the task runs") { try site.noted("begun").count == 1 }
                    kill(number, SIGTERM)
                }
                #expect(cut.code == 143, "\(cut.talk)")
                #expect(cut.talk.contains("have not ended within"), "\(cut.talk)")
                #expect(try await site.status().counts == BatchCounts(pending: 1))
            }
        }

        @Test("With --exit-zero-after-drain, a worker whose broker is gone exits with 143")
        func aLostBrokerKeepsTheExitCode() async throws {
            try await RabbitMQNode.with { node in
                try await Site.with(node) { site in
                    try await site.create("sleeper", "-", input: "0\n")
                    let run = try await site.sheaf("run", "--exit-zero-after-drain") { number in
                        try await site.bench.until("the task has ended") {
                            try await site.status().counts == BatchCounts(succeeded: 1)
                        }
                        try await node.kill()
                        kill(number, SIGTERM)
                    }
                    #expect(run.code == 143, "\(run.talk)")
                }
            }
        }

        @Test("A second SIGTERM returns running tasks to the queue at once", arguments: BrokerKind.allCases)
        func theSecondSignalEndsAtOnce(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                try await site.create("sleeper", "-", input: "30\n30\n")
                let run = try await site.sheaf("run", "-c", "2") { number in
                    try await site.bench.until("both run") { try site.noted("begun").count == 2 }
                    kill(number, SIGTERM)
                    // The worker reports the first signal on standard error, which the test reads only at the end; so
                    // it waits a little.
                    try await Task.sleep(for: .milliseconds(500))
                    kill(number, SIGTERM)
                }
                #expect(run.code == 143, "\(run.talk)")
                #expect(try site.noted("ended").isEmpty)
                #expect(try await site.status().counts == BatchCounts(pending: 2))
            }
        }
    }
}
