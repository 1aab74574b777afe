import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// Batches that are retried, paused and resumed.
    @Suite struct RetryTests {
        @Test("Retry runs failed tasks again on all workers", arguments: BrokerKind.allCases)
        func whatFailedRunsAgainOnAllWorkers(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let total = 300
                let input = (0..<total).map { $0.isMultiple(of: 3) ? "bad\n" : "good\n" }.joined()
                try await site.create("fixable", "-", input: input)
                #expect(try await site.work("--batch", "last").allSatisfy { $0.code == 1 })
                try await site.complete(BatchCounts(succeeded: 200, failed: 100))
                try site.bench.write("", to: "fixed")
                let retry = try await site.sheaf("retry", "last", "--json")
                #expect(retry.code == 0, "\(retry.talk)")
                #expect(try retry.json["retried"]?.intValue == 100)
                #expect(try await site.work("--batch", "last").allSatisfy { $0.code == 0 })
                let status = try await site.status()
                #expect(status.json["status"] == "completed")
                #expect(status.counts == BatchCounts(succeeded: total))
            }
        }

        @Test(
            "Pausing a batch that three workers run stops it without a failure until it is resumed",
            arguments: BrokerKind.allCases
        )
        func aBatchIsPausedWhileThreeWorkersRunIt(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let total = 600
                try await site.create("noted", "-", input: (0..<total).map { "\($0)\n" }.joined())
                async let work = site.work("--batch", "last")
                try await site.bench.until("some tasks have begun") { try site.noted("begun").count > 20 }
                #expect(try await site.sheaf("pause", "last").code == 0)
                #expect(try await work.allSatisfy { $0.code == 0 })
                let paused = try await site.status()
                #expect(paused.json["status"] == "paused")
                #expect(paused.counts.pending > 0 && paused.counts.running == 0)
                #expect(try site.noted("begun").count == paused.counts.succeeded)
                #expect(try await site.sheaf("resume", "last").code == 0)
                #expect(try await site.work("--batch", "last").allSatisfy { $0.code == 0 })
                #expect(try await site.status().counts == BatchCounts(succeeded: total))
            }
        }
    }
}
