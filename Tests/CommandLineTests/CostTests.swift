import SheafCore
import SheafTestTools
import Testing

/// What batches cost, before and after they run.
@Suite("Costs", .timeLimit(.minutes(2))) struct CostTests {
    private func configuration(_ server: ModelServer) -> String {
        """
        prices: { models: { m: { input: 1000, output: 10000 } } }
        flows:
          ask:
            chat:
              base_url: \(server.url)/v1
              api_key: "${CHAT_KEY}"
              model: m
              prompt: "{{n}}"
              options: { max_tokens: 10 }
          free: { echo: true }
        """
    }

    @Test("A dry run says what a batch may cost, and status what it has cost") func costs() async throws {
        try await ModelServer.with { server in
            try await Workbench.with(configuration: configuration(server)) { bench in
                try bench.write([1, 2, 4].map { #"{"n": "\#($0)"}"# + "\n" }.joined(), to: "in.jsonl")
                let preview = try await bench.sheaf("create", "ask", "in.jsonl", "--dry-run")
                #expect(preview.code == 0 && preview.talk.contains("in, at most 30 out"), "\(preview.talk)")
                #expect(preview.talk.contains("cost: 0.") && preview.talk.contains(" USD to "), "\(preview.talk)")
                let json = try await bench.sheaf("create", "ask", "in.jsonl", "--dry-run", "--json").json["estimate"]
                #expect(json?["output_tokens"]?["most"] == 30 && json?["failing"] == 0)
                #expect(json?["cost"]?["most"]?["amount"]?.doubleValue ?? 0 > 0.3)

                try await bench.sheaf("create", "ask", "in.jsonl")
                let run = try await bench.sheaf(["run", "--until-empty"], environment: ["CHAT_KEY": ModelServer.key])
                #expect(run.code == 0, "\(run.talk)")
                // Number n takes n + 1 tokens in and n % 7 + 1 out.
                let status = try await bench.sheaf("status", "last")
                #expect(status.output.contains("0.11 USD"), "\(status.output)")
                let cost = try await bench.sheaf("status", "last", "--json").json["cost"]
                #expect(abs((cost?["amount"]?.doubleValue ?? 0) - 0.11) < 1e-9 && cost?["currency"] == "USD")

                let other = ["--set", "prices.models={}"]
                let unknown = try await bench.sheaf(["status", "last"] + other)
                #expect(unknown.output.contains("unknown: prices has no model 'm'"), "\(unknown.output)")
                #expect(try await bench.sheaf(["status", "last", "--json"] + other).json["cost"]?["amount"] == .null)
                let free = try await bench.sheaf("create", "free", "in.jsonl", "--dry-run", "--json")
                #expect(try free.json["estimate"] == .null)
            }
        }
    }
}
