import Foundation
import Glibc
import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// The commands that look at submissions, decide about them and take them over, on both brokers.
@Suite("Submissions by the command", .timeLimit(.minutes(4))) struct SubmissionCommandTests {
    private static func configuration(_ server: BatchServer) -> String {
        """
        flows:
          ask:
            chat: { base_url: \(server.base), api_key: "${CHAT_KEY}", model: m, prompt: "{{n}}" }
            bulk: { wait_time: 200ms }
            retries: 3
            retry_delay: 20ms
          live:
            chat: { base_url: \(server.base), api_key: "${CHAT_KEY}", model: m, prompt: "{{n}}" }
        """
    }

    private static let key = ["CHAT_KEY": BatchServer.key]

    private static func lines(_ count: Int) -> String { (0..<count).map { #"{"n": "\#($0)"}"# + "\n" }.joined() }

    private static func submissions(_ site: Site, _ arguments: String...) async throws -> [JSONValue] {
        let run = try await site.bench.sheaf(["submissions"] + arguments + ["--json"])
        #expect(run.code == 0, "\(run.talk)")
        return try run.json.arrayValue ?? []
    }

    private static func create(_ site: Site, _ server: BatchServer, _ count: Int) async throws {
        try site.bench.write(configuration(server), to: "sheaf.yaml")
        try await site.create("ask", "-", "--format", "jsonl", "--no-shuffle", input: lines(count))
    }

    @Test("Submissions are listed and shown, and what was asked can be read", arguments: BrokerKind.allCases)
    func listing(kind: BrokerKind) async throws {
        try await BatchServer.with(["hold": true]) { server in
            try await Site.with(kind) { site in
                #expect(try await Self.submissions(site) == [])
                try await Self.create(site, server, 100)
                let run = try await site.bench.sheaf(["run", "--until-empty"], environment: Self.key) { _ in
                    try await site.bench.until("it is polled") { try await server.count("polls") > 0 }
                    let running = try #require(try await Self.submissions(site, "last").first)
                    #expect(running["state"] == "running" && running["requests"] == 100, "\(running)")
                    let status = try await site.sheaf("status", "last")
                    #expect(status.output.contains("1 running; 'sheaf submissions "), "\(status.output)")
                    try await server.set(["hold": false])
                }
                #expect(run.code == 0, "\(run.talk)")
                let all = try await Self.submissions(site)
                // 11 and 61 had no result at first; 7, 27, 47, 67 and 87 were retried.
                let first = try #require(all.first)
                #expect(all.allSatisfy { $0["state"] == "ended" }, "\(all)")
                #expect(first["id"] == "batch_0000" && first["results"] == 98 && first["missing"] == 2)
                #expect(all.reduce(0) { $0 + ($1["requests"]?.intValue ?? 0) } == 107)
                let usage = try await site.status().json["usage"]
                let sum = all.reduce(0) { $0 + ($1["usage"]?["input_tokens"]?.intValue ?? 0) }
                #expect(usage?["input_tokens"]?.intValue == sum)
                let shown = try await site.sheaf("submissions", "show", "batch_0000")
                #expect(shown.output.contains(first["key"]?.stringValue ?? "?"), "\(shown.output)")
                let table = try await site.sheaf("submissions", "last")
                #expect(table.lines.count == all.count + 1 && table.output.contains("batch_0000"))
                #expect(try await server.count("files") == 0)
                let asked = try await site.sheaf("submissions", "show", "batch_0000", "--requests")
                let records = try asked.lines.map { try JSON.parse($0) }
                #expect(records.count == 100)
                #expect(Set(records.compactMap { $0["record"]?["n"]?.stringValue }).count == 100)
                #expect(try await site.sheaf("submissions", "show", "batch_9").code == 5)
                #expect(try await site.sheaf("submissions", "cancel", "batch_0000").code == 4)
                #expect(try await site.sheaf("submissions", "nothing").code == 5)
            }
        }
    }

    @Test("A decision reaches the worker that holds the unclear submission", arguments: BrokerKind.allCases)
    func resolving(kind: BrokerKind) async throws {
        try await BatchServer.with(["plain": true, "lose_create": 1, "junk": ["list": 9_999]]) { server in
            try await Site.with(kind) { site in
                try await Self.create(site, server, 20)
                let run = try await site.bench.sheaf(
                    ["run", "--until-empty"],
                    environment: Self.key,
                    limit: .seconds(90)
                ) { _ in
                    try await site.bench.until("it is unclear") {
                        try await Self.submissions(site).first?["state"] == "unclear"
                    }
                    let key = try #require(try await Self.submissions(site).first?["key"]?.stringValue)
                    let table = try await site.sheaf("submissions")
                    #expect(table.output.contains("sheaf submissions resolve \(key)"), "\(table.output)")
                    #expect(try await site.sheaf("submissions", "resolve", key).code == 64)
                    #expect(try await site.sheaf("submissions", "resolve", key, "--id", "a b").code == 64)
                    let resolved = try await site.sheaf("submissions", "resolve", key, "--id", "batch_0000")
                    #expect(resolved.code == 0, "\(resolved.talk)")
                }
                #expect(run.code == 0, "\(run.talk)")
                try await site.complete(BatchCounts(succeeded: 20))
                let log = try await server.log()
                #expect(log["creates"] == 1 && log["paid"] == 20 && log["paid_twice"] == 0, "\(log)")
            }
        }
    }

    @Test("A decision waits for the next worker if the first one was killed", arguments: BrokerKind.allCases)
    func resolvingAfterAKill(kind: BrokerKind) async throws {
        try await BatchServer.with(["plain": true, "junk": ["list": 9_999], "stall_create": 1]) { server in
            try await Site.with(kind) { site in
                try await Self.create(site, server, 20)
                let killed = try await site.bench.sheaf(["run", "--until-empty"], environment: Self.key) { number in
                    try await site.bench.until("it creates") { try await server.count("creates") == 1 }
                    kill(number, SIGKILL)
                }
                #expect(killed.code == 137)
                try await server.set(["stalling": false])
                let second = try await site.bench.sheaf(
                    ["run", "--until-empty"],
                    environment: Self.key,
                    limit: .seconds(90)
                ) { number in
                    try await site.bench.until("it is unclear") {
                        try await Self.submissions(site).first?["state"] == "unclear"
                    }
                    kill(number, SIGKILL)
                }
                #expect(second.code == 137)
                let key = try #require(try await Self.submissions(site).first?["key"]?.stringValue)
                #expect(try await site.sheaf("submissions", "resolve", key, "--id", "batch_0000").code == 0)
                let other = try await site.sheaf("submissions", "resolve", key, "--not-created")
                #expect(other.code == 4 && other.talk.contains("batch_0000"), "\(other.talk)")
                let run = try await site.bench.sheaf(
                    ["run", "--until-empty"],
                    environment: Self.key,
                    limit: .seconds(90)
                )
                #expect(run.code == 0, "\(run.talk)")
                try await site.complete(BatchCounts(succeeded: 20))
                let log = try await server.log()
                #expect(log["creates"] == 1 && log["paid"] == 20 && log["paid_twice"] == 0, "\(log)")
            }
        }
    }

    @Test("A submission that was made by other means is taken over", arguments: BrokerKind.allCases)
    func adopting(kind: BrokerKind) async throws {
        try await BatchServer.with { server in
            let bench = SubmissionBench(server)
            try await bench.submitByHand((0..<60).map(SubmissionBench.requestTask))
            try await Site.with(kind) { site in
                try site.bench.write(Self.configuration(server), to: "sheaf.yaml")
                func adopt(_ flow: String, _ id: String) async throws -> Workbench.Run {
                    try await site.bench.sheaf(["adopt", flow, id, "--json"], environment: Self.key)
                }
                let wrong = try await adopt("live", "batch_0000")
                #expect(wrong.code == 64 && wrong.talk.contains("bulk"), "\(wrong.talk)")
                let unknown = try await adopt("ask", "batch_9999")
                #expect(unknown.code == 5 && unknown.talk.contains("No batch found"), "\(unknown.talk)")
                let adopted = try await adopt("ask", "batch_0000")
                #expect(adopted.code == 0, "\(adopted.talk)")
                #expect(try adopted.json["batch_id"] == "adopted-batch_0000" && adopted.json["total"] == 60)
                #expect(try await adopt("ask", "batch_0000").code == 4)
                // A worker that dies while it waits changes nothing.
                try await server.set(["hold": true])
                let polls = try await server.count("polls")
                let killed = try await site.bench.sheaf(["run", "--until-empty"], environment: Self.key) { number in
                    try await site.bench.until("it waits") { try await server.count("polls") > polls }
                    kill(number, SIGKILL)
                }
                #expect(killed.code == 137)
                try await server.set(["hold": false])
                let run = try await site.bench.sheaf(
                    ["run", "--until-empty"],
                    environment: Self.key,
                    limit: .seconds(90)
                )
                #expect(run.code == 0, "\(run.talk)")
                let rows = try await site.complete(BatchCounts(succeeded: 57, failed: 3))
                for (number, row) in rows.enumerated() {
                    #expect(row["record_id"] == .string("request \(number)"), "\(row)")
                    if number % 20 == 3 {
                        #expect(row["error"]?["type"] == "http-400", "\(row)")
                    } else {
                        #expect(row["output"]?["content"] == .string("other: \(number)"), "\(row)")
                    }
                }
                let log = try await server.log()
                #expect(log["paid_twice"] == 1, "only 11 had no result: \(log)")
            }
        }
    }

    @Test("Full requests are sent as they are, live and in bulk", arguments: ["ask", "live"])
    func fullRequests(flow: String) async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await Site.with(.embedded) { site in
                try site.bench.write(Self.configuration(server), to: "sheaf.yaml")
                let input = try (0..<10).map { try SubmissionBench.requestTask($0).record.json.text + "\n" }.joined()
                let id = ["--id-field", "custom_id"]
                let created = try await site.bench.sheaf(["create", flow, "-", "--format", "jsonl"] + id, input: input)
                #expect(created.code == 0, "\(created.talk)")
                let run = try await site.bench.sheaf(["run", "--until-empty"], environment: Self.key)
                #expect(run.code == 0, "\(run.talk)")
                for row in try await site.complete(BatchCounts(succeeded: 10)) {
                    let number = row["record_id"]?.stringValue?.split(separator: " ").last ?? "?"
                    #expect(row["output"]?["content"] == .string("other: \(number)"), "\(row)")
                }
            }
        }
    }
}
