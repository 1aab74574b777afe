import Glibc
import SheafCore
import SheafTesting
import Testing

extension Integration {
    /// Workers that are told to leave while short and long tasks run.
    @Suite struct ShutdownTests {
        @Test(arguments: BrokerKind.allCases) func whatEndsInTimeIsKeptAndTheRestGoesBack(kind: BrokerKind) async throws
        {
            try await Site.with(kind) { site in
                // Short ones at even places, long ones at odd places.
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
                #expect(Set(try site.noted("begun")) == Set(0..<6), "nothing is begun after the signal")
                let counts = try await site.status().counts
                #expect(counts == BatchCounts(pending: 9, succeeded: 3))
                let rows = try await site.rows()
                #expect(rows.allSatisfy { $0["status"] == "succeeded" }, "what was ended is no failure")
                try site.bench.write(
                    "flows: { sleeper: { exec: [bash, -c, 'echo \"$SHEAF_TASK_INDEX\" >> again'] } }",
                    to: "sheaf.yaml"
                )
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                try await site.complete(BatchCounts(succeeded: 12))
                #expect(try site.noted("again").sorted() == [1, 3, 5, 6, 7, 8, 9, 10, 11])
            }
        }

        @Test(arguments: BrokerKind.allCases) func theSecondSignalEndsAtOnce(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                try await site.create("sleeper", "-", input: "30\n30\n")
                let run = try await site.sheaf("run", "-c", "2") { number in
                    try await site.bench.until("both run") { try site.noted("begun").count == 2 }
                    kill(number, SIGTERM)
                    // The worker has heard the first when it says so; its talk is read only at the end, so that is given some time.
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
