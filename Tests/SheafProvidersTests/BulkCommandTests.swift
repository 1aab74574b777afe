import Glibc
import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// The real command with `bulk` in its configuration, on both brokers.
@Suite("Bulk by the command", .timeLimit(.minutes(4))) struct BulkCommandTests {
    /// Where a worker is killed, and how the server is made to wait there.
    enum Point: String, CaseIterable, CustomTestStringConvertible {
        case upload, creation, polling, results

        var testDescription: String { rawValue }

        var options: JSONValue {
            switch self {
            case .upload: ["plain": true, "stall_upload": 1]
            case .creation: ["plain": true, "stall_create": 1]
            case .polling: ["plain": true, "hold": true]
            case .results: ["plain": true, "stall_download": 1]
            }
        }

        /// The number that shows that the worker is there.
        var sign: String {
            switch self {
            case .upload: "uploads"
            case .creation: "creates"
            case .polling: "polls"
            case .results: "downloads"
            }
        }
    }

    /// A provider, and where a worker is killed.
    struct Killing: Sendable, CustomTestStringConvertible {
        var provider: ProviderKind
        var point: Point

        var testDescription: String { "\(provider), \(point)" }

        static let all =
            [ProviderKind.openai, .anthropic].flatMap { provider in
                Point.allCases.filter { $0 != .upload || provider.hasFiles }.map {
                    Killing(provider: provider, point: $0)
                }
            } + [.vertex, .bedrock].map { Killing(provider: $0, point: .creation) }
    }

    private static func configuration(_ server: BatchServer, _ provider: ProviderKind) -> String {
        """
        flows:
          ask:
            chat: \(provider.configuration(server))
            bulk: { wait_time: 400ms }
            retries: 3
            retry_delay: 20ms
        """
    }

    private static func run(
        _ site: Site,
        meanwhile: @escaping @Sendable (Int32) async throws -> Void = { _ in }
    ) async throws -> Workbench.Run {
        try await site.bench.sheaf(
            ["run", "--until-empty"],
            environment: ["CHAT_KEY": BatchServer.key],
            limit: .seconds(90),
            meanwhile: meanwhile
        )
    }

    private static func lines(_ count: Int) -> String { (0..<count).map { #"{"n": "\#($0)"}"# + "\n" }.joined() }

    @Test(
        "A thousand tasks with errors and lost results have one outcome each",
        arguments: BrokerKind.allCases,
        ProviderKind.allCases
    )
    func aThousandTasks(kind: BrokerKind, provider: ProviderKind) async throws {
        try await BatchServer.with { server in
            try await Site.with(kind) { site in
                try site.bench.write(Self.configuration(server, provider), to: "sheaf.yaml")
                try await site.create("ask", "-", "--format", "jsonl", "--no-shuffle", input: Self.lines(1_000))
                let run = try await Self.run(site)
                #expect(run.code == 0, "\(run.talk)")
                #expect(!run.talk.contains(BatchServer.key))
                let rows = try await site.complete(BatchCounts(succeeded: 950, failed: 50))
                for (number, row) in rows.enumerated() {
                    if number % 20 == 3 {
                        #expect(row["error"]?["type"] == "http-400", "\(row)")
                    } else {
                        #expect(row["output"]?["content"] == .string("m: \(number)"), "\(row)")
                    }
                    // A 500 is an attempt, a lost result is none.
                    #expect(row["attempts"]?.intValue == (number % 20 == 7 ? 2 : 1), "\(row) \(run.talk)")
                }
                let answered = (0..<1_000).filter { $0 % 20 != 3 }
                let usage = try await site.status().json["usage"]
                #expect(usage?["input_tokens"]?.intValue == answered.reduce(0) { $0 + $1 + 1 })
                #expect(usage?["output_tokens"]?.intValue == answered.reduce(0) { $0 + $1 % 7 + 1 })
                let log = try await server.log()
                #expect(log["paid_twice"] == 20, "only what had no result was bought again")
                #expect(log["files"] == 0)
            }
        }
    }

    @Test(
        "A killed worker's submission is found by the next worker and not bought again",
        arguments: BrokerKind.allCases,
        Killing.all
    )
    func workersAreKilled(kind: BrokerKind, killing: Killing) async throws {
        let (provider, point) = (killing.provider, killing.point)
        try await BatchServer.with(point.options) { server in
            try await Site.with(kind) { site in
                let total = 200
                try site.bench.write(Self.configuration(server, provider), to: "sheaf.yaml")
                try await site.create("ask", "-", "--format", "jsonl", input: Self.lines(total))
                let killed = try await Self.run(site) { number in
                    try await site.bench.until("the worker is there") { try await server.count(point.sign) >= 1 }
                    kill(number, SIGKILL)
                }
                #expect(killed.code == 137, "\(killed.talk)")
                try await server.set(["hold": false, "stalling": false])
                let run = try await Self.run(site)
                #expect(run.code == 0, "\(run.talk)")
                try await site.complete(BatchCounts(succeeded: total))
                let log = try await server.log()
                #expect(log["paid"]?.intValue == total && log["paid_twice"] == 0, "\(log)")
                let keys = (log["batches"]?.arrayValue ?? []).compactMap { $0["metadata"]?["sheaf_submission"] }
                #expect(Set(keys).count == keys.count)
                #expect(log["creates"]?.intValue == log["batches"]?.arrayValue?.count)
            }
        }
    }
}
