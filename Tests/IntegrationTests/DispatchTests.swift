import Glibc
import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// Requests that are added and dispatched by processes of the command.
    @Suite struct DispatchTests {
        private static let configuration =
            #"dispatch={"reviews":{"flow":"echo","queue_threshold":150,"time_threshold":"1s","time_interval":"100ms"}}"#

        @Test("Requests become batches, and their answers are found", arguments: BrokerKind.allCases)
        func answers(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let set = ["--set", Self.configuration]
                try site.bench.write("{\"id\":\"o1\",\"n\":1}\n{\"n\":2}\n{broken\n{\"id\":\"o3\"}\n", to: "in.jsonl")
                let added = try await site.bench.sheaf(["requests", "add", "reviews", "in.jsonl"] + set)
                #expect(added.code == 65 && added.talk.contains("in.jsonl:3"), "\(added.talk)")
                #expect(added.lines.count == 3 && added.lines[0] == "o1" && added.lines[2] == "o3")
                let list = try await site.bench.sheaf(["requests", "--json"] + set).json
                #expect(list.arrayValue?.first?["waiting"] == 3)
                #expect(list.arrayValue?.first?["oldest"]?.stringValue.flatMap { Timestamp($0) } != nil)
                let waiting = try await site.bench.sheaf(["requests", "show", "o3", "--json"] + set)
                #expect(try waiting.json["state"] == "waiting")
                let dispatched = try await site.bench.sheaf(["dispatch", "--flush"] + set)
                #expect(dispatched.code == 0 && dispatched.lines.count == 1, "\(dispatched.talk)")
                #expect(try await site.sheaf("run", "--until-empty").code == 0)
                for id in added.lines {
                    let answer = try await site.bench.sheaf(["requests", "show", id, "--json"] + set).json
                    #expect(answer["state"] == "succeeded" && answer["batch_id"]?.stringValue == dispatched.lines[0])
                }
                let none = try await site.bench.sheaf(["requests", "show", "o9"] + set)
                #expect(none.code == 5 && none.talk.contains("no request 'o9'"), "\(none.talk)")
            }
        }

        @Test("Mistakes have clear messages")
        func mistakes() async throws {
            try await Site.with(.embedded) { site in
                let set = ["--set", Self.configuration]
                func run(_ arguments: [String], _ more: [String] = set) async throws -> (Int32, String) {
                    let run = try await site.bench.sheaf(arguments + more)
                    return (run.code, run.talk)
                }
                #expect(try await run(["requests"], []).1.contains("defines no dispatcher"))
                #expect(try await run(["dispatch"], []).0 == 78)
                #expect(try await run(["dispatch", "review"]).1.contains("did you mean 'reviews'?"))
                #expect(try await run(["requests", "add", "none.jsonl"]).0 == 66)
                #expect(try await run(["dispatch", "--once"], ["--set", #"dispatch={"a":{"flow":"ecko"}}"#]).0 == 78)
                try site.bench.write("{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n", to: "in.jsonl")
                let doctor = try await site.bench.sheaf(
                    ["doctor", "--set", #"dispatch={"a":{"flow":"echo"},"b":{"flow":"echo","max_waiting":2}}"#]
                )
                #expect(
                    doctor.output.contains("ok    dispatch a: batches of echo from 50000 requests"),
                    "\(doctor.output)"
                )
                #expect(doctor.output.contains("raise max_waiting or lower queue_threshold"), "\(doctor.output)")
                let full = ["--set", #"dispatch={"reviews":{"flow":"echo","max_waiting":2}}"#]
                let refused = try await run(["requests", "add", "in.jsonl"], full)
                #expect(refused.0 == 75 && refused.1.contains("limit of 2"), "\(refused.1)")
                let large = String(repeating: "x", count: 10 << 20)
                try site.bench.write("{\"id\":\"big\",\"t\":\"\(large)\"}\n{\"id\":\"small\"}\n", to: "big.jsonl")
                let big = try await site.bench.sheaf(["requests", "add", "big.jsonl"] + set)
                #expect(big.code == 65 && big.lines == ["small"], "\(big.talk)")
            }
        }

        @Test(
            "Dispatchers and a sender that are killed at random lose and repeat no request",
            arguments: BrokerKind.allCases
        )
        func killed(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let each = 2000
                let set = ["--set", Self.configuration]
                for sender in 0..<3 {
                    let lines = (0..<each).map { "{\"id\":\"s\(sender)-\($0)\",\"n\":\($0)}\n" }
                    try site.bench.write(lines.joined(), to: "\(sender).jsonl")
                }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for sender in 0..<3 {
                        group.addTask {
                            let add = ["requests", "add", "reviews", "\(sender).jsonl"] + set
                            if sender == 2 {
                                // Killed, and then begun again with all of its requests.
                                _ = try await site.bench.sheaf(add) { number in
                                    try await Task.sleep(for: .milliseconds(Int.random(in: 200...1000)))
                                    kill(number, SIGKILL)
                                }
                            }
                            let run = try await site.bench.sheaf(add, limit: .seconds(120))
                            #expect(run.code == 0 && run.lines.count == each, "\(run.talk)")
                        }
                    }
                    for _ in 0..<12 {
                        let time = Duration.milliseconds(Int.random(in: 150...900))
                        let run = try await site.bench.sheaf(["dispatch"] + set) { number in
                            try await Task.sleep(for: time)
                            kill(number, SIGKILL)
                        }
                        #expect(run.code == 137, "\(run.talk)")
                    }
                    try await group.waitForAll()
                }
                // The broker may need a while to notice that the last dispatcher is gone.
                try await site.bench.until("nothing waits", limit: .seconds(60)) {
                    let run = try await site.bench.sheaf(["dispatch", "--flush"] + set, limit: .seconds(120))
                    #expect([0, 4].contains(run.code), "\(run.talk)")
                    let list = try await site.bench.sheaf(["requests", "--json"] + set).json
                    return run.code == 0 && !run.talk.contains("another process")
                        && list.arrayValue?.first?["waiting"] == 0
                }
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                var seen: [String: Int] = [:]
                let batches = try await site.sheaf("list", "--json").json.arrayValue ?? []
                #expect(batches.count >= 3 * each / 150)
                for batch in batches {
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
