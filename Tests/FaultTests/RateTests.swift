import Glibc
import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// A rate that three workers share, measured by the start times that their programs write.
@Suite(.serialized, .timeLimit(.minutes(3))) struct RateTests {
    private static let configuration = #"""
        limits: { service: 100/s }
        flows:
          called: { exec: ["bash", "-c", "echo $EPOCHREALTIME >> calls"], limit: service }
        """#

    @Test("Three workers keep a shared rate although one is killed", arguments: BrokerKind.allCases)
    func threeWorkersKeepARateThoughOneIsKilled(kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            try site.bench.write(Self.configuration, to: "sheaf.yaml")
            let total = 3000
            try await site.create("called", "-", input: (0..<total).map { "\($0)\n" }.joined())
            try await withThrowingTaskGroup(of: Int32.self) { group in
                for number in 0..<3 {
                    group.addTask {
                        try await site.bench.sheaf(["run", "--until-empty"], limit: .seconds(150)) { process in
                            if number > 0 { return }
                            // In the middle of the batch, when the worker probably holds tokens.
                            try await site.bench.until("a third has run", limit: .seconds(60)) {
                                try site.bench.lines(of: "calls").count > total / 3
                            }
                            kill(process, SIGKILL)
                        }.code
                    }
                }
                let codes = try await group.reduce(into: []) { $0.append($1) }
                #expect(codes.sorted() == [0, 0, 137])
            }
            // Tasks of the killed worker run again, so there may be a few more calls than tasks.
            let times = try site.bench.lines(of: "calls").compactMap { Double($0) }.sorted()
            #expect(times.count >= total && times.count <= total + 20)
            let span = try #require(times.last) - (times.first ?? 0)
            let rate = Double(times.count) / span
            var excess = 0.0
            for (first, start) in times.enumerated() {
                for last in first..<min(times.count, first + 400) {
                    excess = max(excess, Double(last - first + 1) - 100 * (times[last] - start))
                }
            }
            print(
                "rate \(kind.rawValue): \(times.count) calls in \(span) s, \(rate)/s, \(excess) more than the rate in any window"
            )
            #expect(abs(rate - 100) <= 5)
            // A burst of 10, and 5 for programs that start late.
            #expect(excess <= 10 + 5)
            try await site.complete(BatchCounts(succeeded: total))
        }
    }
}
