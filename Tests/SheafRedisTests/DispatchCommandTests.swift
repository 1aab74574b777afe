import Foundation
import Glibc
import SheafCore
import SheafRedis
import SheafTestSupport
import SheafTestTools
import Testing

@Suite("The command with requests in Redis")
struct DispatchCommandTests {
    private static func set(_ server: RedisServer, _ kind: Kind) -> [String] {
        let queue = #""queue":"redis://127.0.0.1:\#(server.port)/0","queue_key":"requests""#
        let type = #""queue_type":"\#(kind.rawValue)""#
        let rules = #""flow":"echo","queue_threshold":150,"time_threshold":"1s","time_interval":"100ms""#
        return ["--set", "dispatch={\"reviews\":{\(rules),\(queue),\(type)}}"]
    }

    @Test("Requests by Redis become batches, and their answers are found", arguments: Kind.allCases)
    func answers(kind: Kind) async throws {
        try await RedisServer.with { server in
            try await Site.with(.embedded) { site in
                let set = Self.set(server, kind)
                try site.bench.write("{\"id\":\"o1\",\"n\":1}\n{\"n\":2}\n", to: "in.jsonl")
                let added = try await site.bench.sheaf(["requests", "add", "reviews", "in.jsonl"] + set)
                #expect(added.code == 0 && added.lines.count == 2, "\(added.talk)")
                let push = kind == .list ? ["rpush", "requests"] : ["xadd", "requests", "*", "data"]
                try await server.cli(push + [#"{"id":"o3","n":3}"#])
                try await server.cli(push + ["no json"])
                let list = try await site.bench.sheaf(["requests", "--json"] + set).json
                #expect(list.arrayValue?.first?["waiting"] == 4)
                func state(_ id: String) async throws -> JSONValue {
                    try await site.bench.sheaf(["requests", "show", id, "--json"] + set).json
                }
                #expect(try await state("o3")["state"] == "waiting")
                let dispatched = try await site.bench.sheaf(["dispatch", "--flush"] + set)
                #expect(dispatched.code == 0 && dispatched.lines.count == 1, "\(dispatched.talk)")
                #expect(try await state("o3")["state"] == "dispatched")
                #expect(try await site.sheaf("run", "--until-empty").code == 0)
                for id in added.lines + ["o3"] {
                    let answer = try await state(id)
                    #expect(answer["state"] == "succeeded" && answer["batch_id"]?.stringValue == dispatched.lines[0])
                }
                if kind == .list {
                    let bad = try await state("\(dispatched.lines[0]).3")
                    #expect(bad["state"] == "failed" && bad["error"]?["message"]?.stringValue?.contains("JSON") == true)
                }
                let none = try await site.bench.sheaf(["requests", "show", "o9"] + set)
                #expect(none.code == 5 && none.talk.contains("no request 'o9'"), "\(none.talk)")
                let doctor = try await site.bench.sheaf(["doctor"] + set)
                let found = "\(kind.rawValue) 'requests'"
                #expect(doctor.output.contains("ok    queue of dispatch reviews: redis 7"), "\(doctor.output)")
                #expect(doctor.output.contains(found), "\(doctor.output)")
            }
        }
    }

    @Test("Redis that cannot be used is reported with its address, and without the password")
    func unusable() async throws {
        try await RedisServer.with(["--appendonly", "no"]) { server in
            try await Site.with(.embedded) { site in
                let doctor = try await site.bench.sheaf(["doctor"] + Self.set(server, .list))
                #expect(doctor.output.contains("warn  queue of dispatch reviews"), "\(doctor.output)")
                #expect(doctor.output.contains("set appendonly to yes"), "\(doctor.output)")
                try site.bench.write(
                    """
                    dispatch:
                      echo: { queue: "redis://:${REDIS_PASSWORD}@127.0.0.1:\(server.port)" }
                    flows:
                      show: { exec: ["sh", "-c", "echo [$REDIS_PASSWORD]"] }
                    """,
                    to: "sheaf.yaml"
                )
                let secret = ["REDIS_PASSWORD": "se/cr@t"]
                let unset = try await site.bench.sheaf("requests")
                #expect(unset.code == 78 && unset.talk.contains("'REDIS_PASSWORD' is not set"), "\(unset.talk)")
                let refused = try await site.bench.sheaf("requests", environment: secret)
                #expect(refused.code == 3 && refused.talk.contains("127.0.0.1:\(server.port)/0"), "\(refused.talk)")
                #expect(!refused.talk.contains("cr@t") && !refused.talk.contains("cr%40t"), "\(refused.talk)")
                try await server.cli("config", "set", "requirepass", "se/cr@t")
                #expect(try await site.bench.sheaf("requests", environment: secret).code == 0)
                let create = ["create", "show", "-"]
                #expect(try await site.bench.sheaf(create, input: "1\n", environment: secret).code == 0)
                #expect(try await site.bench.sheaf("run", "--until-empty", environment: secret).code == 0)
                let row = try await site.bench.sheaf("results", "last", environment: secret)
                #expect(row.output.contains(#""output":[]"#), "programs do not see the password: \(row.output)")
                server.kill()
                let down = try await site.bench.sheaf("dispatch", "--once", environment: secret)
                #expect(down.code == 3 && down.talk.contains("refused"), "\(down.talk)")
            }
        }
    }

    @Test("Dispatchers that are killed at random lose and repeat no request", arguments: Kind.allCases)
    func killed(kind: Kind) async throws {
        try await RedisServer.with { server in
            try await Site.with(.embedded) { site in
                let each = 700
                let set = Self.set(server, kind)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for sender in 0..<2 {
                        group.addTask {
                            for part in 0..<20 {
                                let ids = (part * 35..<part * 35 + 35).map { "s\(sender)-\($0)" }
                                try await server.send(ids.map { "{\"id\":\"\($0)\"}" }, kind, to: "requests")
                                try await Task.sleep(for: .milliseconds(150))
                            }
                        }
                    }
                    let lines = (0..<each).map { "{\"id\":\"s2-\($0)\",\"n\":\($0)}\n" }
                    try site.bench.write(lines.joined(), to: "in.jsonl")
                    group.addTask {
                        let run = try await site.bench.sheaf(["requests", "add", "in.jsonl"] + set)
                        #expect(run.code == 0 && run.lines.count == each, "\(run.talk)")
                    }
                    for _ in 0..<7 {
                        let time = Duration.milliseconds(Int.random(in: 150...900))
                        let run = try await site.bench.sheaf(["dispatch"] + set) { number in
                            try await Task.sleep(for: time)
                            kill(number, SIGKILL)
                        }
                        #expect(run.code == 137, "\(run.talk)")
                        // The next one need not wait for the end of the lock.
                        try await server.cli("del", "{requests}:sheaf:lock")
                    }
                    try await group.waitForAll()
                }
                try await site.bench.until("nothing waits", limit: .seconds(60)) {
                    let run = try await site.bench.sheaf(["dispatch", "--flush"] + set)
                    #expect([0, 4].contains(run.code), "\(run.talk)")
                    let list = try await site.bench.sheaf(["requests", "--json"] + set).json
                    return run.code == 0 && !run.talk.contains("another process")
                        && list.arrayValue?.first?["waiting"] == 0
                }
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                var seen: [String: Int] = [:]
                for batch in try await site.sheaf("list", "--json").json.arrayValue ?? [] {
                    let id = try #require(batch["batch_id"]?.stringValue)
                    #expect(batch["status"] == "completed", "\(id)")
                    for row in try await site.rows(of: id) {
                        seen[row["record_id"]?.stringValue ?? "", default: 0] += 1
                    }
                }
                #expect(seen.count == 3 * each)
                #expect(seen.values.allSatisfy { $0 == 1 })
            }
        }
    }
}

extension RedisServer {
    /// The URL of its first database, as a queue is opened with it.
    var url: RedisURL { get throws { try RedisURL(address) } }

    /// Sends bodies as another program does.
    func send(_ bodies: [String], _ kind: Kind, to key: String) async throws {
        try await send(bodies, asList: kind == .list, to: key)
    }
}
