import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// Pilots of batches that run in bulk.
@Suite("Pilots in bulk", .timeLimit(.minutes(2))) struct PilotTests {
    @Test("The pilot is a submission of its own, and the rest follows after a resume", arguments: BrokerKind.allCases)
    func submissions(kind: BrokerKind) async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await Site.with(kind) { site in
                try site.bench.write(
                    """
                    prices: { models: { m: { input: 1000, output: 10000, bulk: 50% } } }
                    flows:
                      ask:
                        chat: { base_url: \(server.base), api_key: "${CHAT_KEY}", model: m, prompt: "{{n}}" }
                        bulk: { wait_time: 200ms }
                    """,
                    to: "sheaf.yaml"
                )
                let key = ["CHAT_KEY": BatchServer.key]
                let lines = (0..<60).map { #"{"n": "\#($0)"}"# + "\n" }.joined()
                try await site.create("ask", "-", "--format", "jsonl", "--pilot", "20", input: lines)
                let pilot = try await site.bench.sheaf(["run", "--until-empty", "--batch", "last"], environment: key)
                #expect(pilot.code == 0 && pilot.talk.contains("the pilot is over: 20 of 20 tasks"), "\(pilot.talk)")
                let status = try await site.bench.sheaf("status", "last", "--json").json
                #expect(status["status"] == "paused" && status["counts"]?["pending"] == 40)
                let amounts = [status["pilot"]?["cost"], status["pilot"]?["projection"]?["cost"]].map {
                    $0?["amount"]?.doubleValue ?? 0
                }
                #expect(amounts[0] > 0 && abs(amounts[1] - 3 * amounts[0]) < 0.1 * amounts[1], "\(status)")
                #expect(try await site.bench.sheaf("resume", "last").code == 0)
                let rest = try await site.bench.sheaf(["run", "--until-empty", "--batch", "last"], environment: key)
                #expect(rest.code == 0, "\(rest.talk)")
                let all = try await site.bench.sheaf("submissions", "--json").json.arrayValue ?? []
                #expect(all.compactMap { $0["requests"]?.intValue } == [20, 40], "\(all)")
                try await site.complete(BatchCounts(succeeded: 60))
            }
        }
    }
}
