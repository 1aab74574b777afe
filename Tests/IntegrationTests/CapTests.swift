import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// A batch whose max_running applies to all workers together.
    @Suite struct CapTests {
        @Test("Four workers together never run more tasks of a batch than max_running", arguments: BrokerKind.allCases)
        func workersShareTheCap(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let total = 60
                let input = (0..<total).map { "\($0)\n" }.joined()
                try await site.create("counted", "-", "--concurrency", "7", input: input)
                // Twenty slots in four workers.
                async let fourth = site.sheaf("run", "--until-empty")
                let workers = try await site.work() + [try await fourth]
                #expect(workers.allSatisfy { $0.code == 0 })
                try await site.complete(BatchCounts(succeeded: total))
                let counts = try site.noted("counts")
                #expect(counts.count == total)
                #expect(counts.max() == 7, "never more than 7, and 7 at some time")
            }
        }
    }
}
