import Glibc
import OrderedCollections
import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Synchronization
import Testing

/// The real command where bulk and live meet, on both brokers.
@Suite("Bulk and live", .timeLimit(.minutes(4))) struct BulkAndLiveTests {
    private static func configuration(_ server: BatchServer, _ provider: ProviderKind, bulk: String) -> String {
        """
        flows:
          ask:
            chat: \(provider.configuration(server))
            bulk: \(bulk)
            retries: 3
            retry_delay: 20ms
        """
    }

    private static func lines(_ count: Int) -> String { (0..<count).map { #"{"n": "\#($0)"}"# + "\n" }.joined() }

    private static func run(
        _ site: Site,
        key: String = BatchServer.key,
        meanwhile: @escaping @Sendable (Int32) async throws -> Void = { _ in }
    ) async throws -> Workbench.Run {
        try await site.bench.sheaf(
            ["run", "--until-empty"],
            environment: ["CHAT_KEY": key],
            limit: .seconds(120),
            meanwhile: meanwhile
        )
    }

    /// What a row says but for its batch, times, its worker and its attempts, of which a lost result is one live only.
    private static func essence(_ row: JSONValue, _ server: BatchServer) -> String {
        var members = row.objectValue ?? [:]
        for name in ["batch_id", "started_at", "finished_at", "worker", "attempts", "errors"] { members[name] = nil }
        return JSONValue.object(members).text.replacing(server.url, with: "http://host")
    }

    @Test("Two thousand tasks have the same results live and in bulk", arguments: ProviderKind.allCases)
    func theSameResults(provider: ProviderKind) async throws {
        let rows = Rows()
        for bulk in ["false", "{ wait_time: 400ms }"] {
            try await BatchServer.with { server in
                try await Site.with(.embedded) { site in
                    try site.bench.write(Self.configuration(server, provider, bulk: bulk), to: "sheaf.yaml")
                    try await site.create("ask", "-", "--format", "jsonl", "--no-shuffle", input: Self.lines(2_000))
                    let run = try await Self.run(site)
                    #expect(run.code == 0, "\(run.talk)")
                    let complete = try await site.complete(BatchCounts(succeeded: 1_900, failed: 100))
                    rows.add(complete.map { Self.essence($0, server) })
                }
            }
        }
        let (live, bulk) = (rows.all[0], rows.all[1])
        #expect(live.count == 2_000 && bulk.count == 2_000)
        let different = zip(live, bulk).first { $0 != $1 }
        #expect(different == nil)
    }

    private final class Rows: Sendable {
        private let rows = Mutex<[[String]]>([])

        var all: [[String]] { rows.withLock { $0 } }

        func add(_ more: [String]) { rows.withLock { $0.append(more) } }
    }

    @Test("What has waited long enough for a submission runs live, once", arguments: BrokerKind.allCases)
    func fallback(kind: BrokerKind) async throws {
        try await BatchServer.with(["plain": true, "hold": true]) { server in
            try await Site.with(kind) { site in
                let bulk = "{ wait_time: 200ms, fallback: live, after: 3s }"
                try site.bench.write(Self.configuration(server, .openai, bulk: bulk), to: "sheaf.yaml")
                try await site.create("ask", "-", "--format", "jsonl", input: Self.lines(50))
                let run = try await Self.run(site)
                #expect(run.code == 0, "\(run.talk)")
                let rows = try await site.complete(BatchCounts(succeeded: 50))
                #expect(rows.allSatisfy { $0["attempts"] == 1 })
                let log = try await server.log()
                // A worker that gets the tasks slowly submits them in parts.
                #expect(log["creates"] != 0 && log["creates"] == log["cancels"], "\(log)")
                #expect(log["paid"] == 50 && log["paid_twice"] == 0, "\(log)")
            }
        }
    }

    @Test("With a wrong key nothing fails or is asked for again and again, and the next worker goes on")
    func wrongKey() async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await Site.with(.embedded) { site in
                let bulk = "{ wait_time: 200ms }"
                try site.bench.write(Self.configuration(server, .openai, bulk: bulk), to: "sheaf.yaml")
                try await site.create("ask", "-", "--format", "jsonl", input: Self.lines(50))
                let wrong = try await Self.run(site, key: "sk-wrong") { number in
                    try await site.bench.until("the submission waits") {
                        let list = try await site.bench.sheaf(["submissions", "--json"])
                        return list.output.contains("answered 401")
                    }
                    kill(number, SIGTERM)
                }
                #expect(wrong.talk.contains("correct the key of the flow") && !wrong.talk.contains("sk-wrong"))
                #expect(try await server.count("refused") <= 3)
                let run = try await Self.run(site)
                #expect(run.code == 0, "\(run.talk)")
                try await site.complete(BatchCounts(succeeded: 50))
                #expect(try await server.count("creates") == 1)
            }
        }
    }
}
