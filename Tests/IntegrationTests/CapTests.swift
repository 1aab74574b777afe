import SheafCore
import SheafTesting
import Testing

extension Integration {
    /// A batch that may run only so many tasks at once, on all workers together.
    @Suite struct CapTests {
        @Test(arguments: BrokerKind.allCases) func workersShareTheCap(kind: BrokerKind) async throws {
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
                #expect(counts.max() == 7, "never more, and as many")
            }
        }
    }
}
