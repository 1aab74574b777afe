import SheafCore
import SheafTesting
import Testing

extension Integration {
    /// Batches that are stopped or cancelled.
    @Suite struct EndingTests {
        @Test(arguments: BrokerKind.allCases) func aFailureStopsAllWorkers(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let total = 1500
                let input = (0..<total).map { $0 == 40 ? "bad\n" : "good\n" }.joined()
                try await site.create("fragile", "-", "--no-shuffle", "--error-policy", "stop", input: input)
                #expect(try await site.work("--batch", "last").allSatisfy { $0.code == 1 })
                let status = try await site.status()
                #expect(status.json["status"] == "failed")
                #expect(status.counts.failed == 1)
                #expect(status.counts.running == 0)
                #expect(status.counts.pending > 0)
                #expect(status.counts.total == total)
                #expect(try await site.sheaf("wait", "last").code == 1)
                #expect(try await site.sheaf("run", "--until-empty", "--batch", "last").code == 1)
                // By the flow's own clock: when each task began, and on which worker.
                let begun = try site.bench.lines(of: "begun").map { $0.split(separator: " ") }
                #expect(begun.count == status.counts.settled)
                #expect(Set(begun.map { $0[1] }).count == 3)
                let stopped = try #require(status.json["finished_at"]?.stringValue.flatMap { Timestamp($0) })
                let last = try #require(begun.compactMap { Double($0[0]) }.max()) * 1000 - Double(stopped.milliseconds)
                #expect(last <= 250, "a task began \(last) ms after the batch was stopped")
            }
        }

        @Test(arguments: BrokerKind.allCases) func cancelledWhileNobodyWorks(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                try await site.create("noted", "-", input: (0..<50).map { "\($0)\n" }.joined())
                #expect(try await site.sheaf("cancel", "last").code == 0)
                #expect(try await site.work().allSatisfy { $0.code == 0 && $0.talk.contains("no tasks were run") })
                #expect(try site.noted("begun").isEmpty)
                #expect(try await site.sheaf("wait", "last").code == 6)
                #expect(try await site.sheaf("run", "--until-empty", "--batch", "last").code == 6)
                let status = try await site.status()
                #expect(status.json["status"] == "cancelled")
                #expect(status.counts == BatchCounts(cancelled: 50))
                let again = try await site.sheaf("cancel", "last")
                #expect(again.code == 4)
                #expect(again.talk.contains("has ended already (cancelled)"), "\(again.talk)")
            }
        }
    }
}
