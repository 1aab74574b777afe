import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// Everything that goes wrong at a provider, in one batch of ten thousand requests, with the real command.
@Suite(.timeLimit(.minutes(25))) struct SubmissionFaultTests {
    private static let total = 10_000
    /// How long the provider wants to be left alone at first.
    private static let pause = Duration.seconds(300)

    @Test("Ten thousand requests have one outcome each, whatever goes wrong", arguments: BulkProvider.allCases)
    func everything(provider: BulkProvider) async throws {
        // 5 % of the requests fail for good, 5 % once, and 2 % have no result at first.
        let faults: JSONValue = [
            "state_time": 2, "throttle": 1, "throttle_after": .integer(Int(Self.pause.components.seconds)),
            "token_limit": 2, "expire": 1, "cut_download": 1, "cancel_completes": true,
            "quota_400": .integer(provider == .azure || provider == .datedAzure ? 1 : 0),
        ]
        try await BatchServer.with(faults) { server in
            let elsewhere = try #require(try await server.log()["elsewhere"]?.stringValue)
            try await server.set(["redirect": .string(elsewhere)])
            try await Site.with(.embedded) { site in
                let start = ContinuousClock.now
                try site.bench.write(provider.configuration(server, bulk: "{ wait_time: 1s }"), to: "sheaf.yaml")
                let lines = (0..<Self.total).map { #"{"n": "\#($0)"}"# + "\n" }.joined()
                try await site.create("ask", "-", "--format", "jsonl", "--no-shuffle", input: lines)
                let run = try await site.bench.sheaf(["run", "--until-empty"], limit: .seconds(1_200)) { _ in
                    try await Self.cancelOne(at: site, server)
                }
                #expect(run.code == 0, "\(run.talk)")
                let failed = Self.total / 20
                let rows = try await site.complete(BatchCounts(succeeded: Self.total - failed, failed: failed))
                for (number, row) in rows.enumerated() {
                    if number % 20 == 3 {
                        #expect(row["error"]?["type"] == "http-400", "\(row)")
                    } else {
                        #expect(row["output"]?["content"] == .string("m: \(number)"), "\(row)")
                    }
                }
                let usage = try await site.status().json["usage"]
                let answered = (0..<Self.total).filter { $0 % 20 != 3 }
                #expect(usage?["input_tokens"]?.intValue == answered.reduce(0) { $0 + $1 + 1 })
                #expect(usage?["output_tokens"]?.intValue == answered.reduce(0) { $0 + $1 % 7 + 1 })
                let log = try await server.log()
                #expect(log["paid_twice"]?.intValue == Self.total / 50, "only what had no result was bought again")
                #expect(log["files"] == 0)
                let strangers = log["strangers"]?.arrayValue ?? []
                #expect(!strangers.isEmpty && strangers.allSatisfy { $0 == .null }, "the other host got no key")
                #expect(.now - start > Self.pause, "the provider was left alone")
                #expect(log["polls"]?.intValue ?? .max < 500 && log["creates"]?.intValue ?? .max < 20, "\(log)")
                print(
                    "\(provider): \(log["creates"] ?? .null) submissions, \(log["polls"] ?? .null) polls, "
                        + "\(log["cancels"] ?? .null) cancelled, \(.now - start)"
                )
            }
        }
    }

    /// Cancels a submission that runs, which completes all the same; one that ends before its worker sees the wish is
    /// followed by another.
    private static func cancelOne(at site: Site, _ server: BatchServer) async throws {
        try await site.bench.until("a submission is cancelled", limit: .seconds(900)) {
            if try await server.count("cancels") > 0 { return true }
            guard try await server.count("creates") >= 3 else { return false }
            let list = try await site.bench.sheaf(["submissions", "--json"]).json.arrayValue ?? []
            if let id = list.first(where: { $0["state"] == "running" && $0["cancelled_by"] == .null })?["id"]?
                .stringValue
            {
                _ = try await site.bench.sheaf(["submissions", "cancel", id])
            }
            return false
        }
    }
}
