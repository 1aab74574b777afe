import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// Identical records of batches that run in bulk.
@Suite("Identical records in bulk", .timeLimit(.minutes(2))) struct TwinTests {
    @Test("Only distinct records are submitted and paid for", arguments: BrokerKind.allCases)
    func paying(kind: BrokerKind) async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await Site.with(kind) { site in
                try site.bench.write(
                    """
                    prices: { models: { m: { input: 1000, output: 10000, bulk: 50% } } }
                    flows:
                      ask:
                        chat: { base_url: \(server.base), api_key: "${CHAT_KEY}", model: m, prompt: "{{n}}" }
                        bulk: { wait_time: 200ms }
                        dedupe: true
                    """,
                    to: "sheaf.yaml"
                )
                let lines = (0..<120).map { #"{"id": \#($0), "n": "\#($0 % 40)"}"# + "\n" }.joined()
                let created = try await site.create("ask", "-", "--format", "jsonl", input: lines)
                #expect(created["twins"] == 80 && created["total"] == 120)
                let run = try await site.bench.sheaf(
                    ["run", "--until-empty", "--batch", "last"],
                    environment: ["CHAT_KEY": BatchServer.key]
                )
                #expect(run.code == 0, "\(run.talk)")
                let rows = try await site.complete(BatchCounts(succeeded: 120))
                for (number, row) in rows.enumerated() {
                    #expect(row["output"]?["content"] == .string("m: \(number % 40)"), "\(row)")
                }
                let log = try await server.log()
                #expect(log["paid"] == 40 && log["paid_twice"] == 0, "\(log)")
                let all = try await site.bench.sheaf("submissions", "--json").json.arrayValue ?? []
                #expect(all.compactMap { $0["requests"]?.intValue }.reduce(0, +) == 40, "\(all)")
                // Number n takes n + 1 tokens in.
                let usage = try await site.status().json["usage"]
                #expect(usage?["input_tokens"]?.intValue == (1...40).reduce(0, +), "\(String(describing: usage))")
            }
        }
    }
}
