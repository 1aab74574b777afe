import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// Bad input, one kind per test: the error names place and cause, and no other record is lost.
    @Suite struct BadInputTests {
        /// Runs the newest batch; returns the message of its only failure after checking that all other tasks
        /// succeeded.
        private func onlyFailure(_ site: Site, of total: Int) async throws -> String {
            #expect(try await site.work("--batch", "last").allSatisfy { $0.code == 1 })
            let rows = try await site.complete(BatchCounts(succeeded: total - 1, failed: 1))
            let error = try #require(rows.first { $0["status"] == "failed" }?["error"])
            #expect(error["type"] == "invalid-record")
            return error["message"]?.stringValue ?? ""
        }

        @Test("A broken JSON line becomes a failed task that names file and line", arguments: BrokerKind.allCases)
        func brokenJSON(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let lines = (1...10).map { $0 == 7 ? #"{"id": oops"# : #"{"id":"r\#($0)"}"# }
                try site.bench.write(lines.joined(separator: "\n"), to: "in.jsonl")
                #expect(try await site.create("echo", "in.jsonl")["invalid"] == 1)
                #expect(try await onlyFailure(site, of: 10).hasPrefix("in.jsonl:7: "))
                // With --strict the command fails and creates no batch.
                let strict = try await site.sheaf("create", "echo", "in.jsonl", "--strict")
                #expect(strict.code == 65)
                #expect(strict.talk.contains("in.jsonl:7: "))
                #expect(try await site.sheaf("list", "--json").json.arrayValue?.count == 1)
            }
        }

        @Test(
            "A CSV row with a missing cell becomes a failed task that names file and line",
            arguments: BrokerKind.allCases
        )
        func missingCell(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                try site.bench.write("id,a,b\n1,x,y\n2,\"x\nx\",y\n3,x\n4,x,y\n", to: "in.csv")
                try await site.create("echo", "in.csv")
                #expect(try await onlyFailure(site, of: 4).hasPrefix("in.csv:5: "))
            }
        }

        @Test("A record above 1 MiB becomes a failed task that names the limit", arguments: BrokerKind.allCases)
        func tooLarge(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let large = String(repeating: "x", count: 2 << 20)
                try site.bench.write(
                    "{\"id\":\"a\"}\n{\"id\":\"b\",\"x\":\"\(large)\"}\n{\"id\":\"c\"}\n",
                    to: "in.jsonl"
                )
                try await site.create("echo", "in.jsonl")
                let message = try await onlyFailure(site, of: 3)
                #expect(message.hasPrefix("in.jsonl:2: "))
                #expect(message.contains("1 MiB"), "the message names the limit")
            }
        }

        @Test("An unknown flow is refused with the list of known flows", arguments: BrokerKind.allCases)
        func unknownFlow(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                for arguments in [["create", "nosuch", "-"], ["run", "--flow", "nosuch"]] {
                    let run = try await site.bench.sheaf(arguments, input: "x\n")
                    #expect(run.code == 5)
                    for flow in ["noted", "fragile", "words", "echo"] {
                        #expect(run.talk.contains(flow), "\(run.talk)")
                    }
                }
                #expect(try await site.sheaf("list", "--json").output == "[]\n")
            }
        }

        @Test(
            "Foreign messages in a task queue go to the dead letters and harm no task",
            arguments: BrokerKind.allCases
        )
        func foreignMessages(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let created = try await site.create("echo", "-", input: "a\nb\nc\n")
                let batch = try #require(created["batch_id"]?.stringValue.flatMap { Name($0) })
                let (echo, other) = (site.echo, Name("other"))
                let record = Record(id: "x", kind: .text, bytes: [])
                let foreign = [
                    Message(id: "1", type: "hello", body: Array("who is there".utf8)),
                    Message(id: "2", type: "task", body: Array("{}".utf8)),
                    BatchTask(flow: other, batch: batch, index: 0, record: record).message,
                    BatchTask(flow: echo, batch: other, index: 0, record: record).message,
                    BatchTask(flow: echo, batch: batch, index: 3, record: record).message,
                ]
                try await site.withClient { client in
                    try await client.broker.publish(
                        foreign,
                        to: client.names.tasks(flow: echo, batch: batch, generation: 0)
                    )
                }
                let runs = try await site.work("--batch", "last")
                #expect(runs.allSatisfy { $0.code == 0 })
                #expect(runs.contains { $0.talk.contains("is rejected to the dead letters") })
                let rows = try await site.complete(BatchCounts(succeeded: 3))
                #expect(Set(rows.compactMap { $0["output"]?.stringValue }) == ["a", "b", "c"])
            }
        }

        @Test("An unreachable broker ends each command within 10 s without showing the password")
        func unreachableBrokers() async throws {
            try await Site.with(.embedded) { site in
                try site.bench.write("", to: "file")
                let brokers: [(String, Int32)] = [
                    ("amqp://me:geheim@127.0.0.1:1/%2f", 3), ("embedded:file/folder", 74),
                ]
                for (broker, code) in brokers {
                    for arguments in [["create", "echo", "-"], ["run", "--until-empty"], ["list"], ["doctor"]] {
                        let start = ContinuousClock.now
                        let run = try await site.bench.sheaf(arguments + ["--broker", broker], input: "x\n")
                        #expect(run.code == code, "\(run.talk)")
                        #expect(ContinuousClock.now - start < .seconds(10))
                        #expect(!(run.talk + run.output).contains("geheim"))
                        #expect(run.output.isEmpty || arguments == ["doctor"])
                    }
                }
            }
        }

        @Test("A wrong password ends each command with code 3 and is not shown")
        func wrongPassword() async throws {
            let url = try Site.rabbitMQ
            try await Site.with(.rabbitMQ) { site in
                let at = try #require(url.lastIndex(of: "@"))
                let wrong = "amqp://guest:geheim" + url[at...]
                for arguments in [["create", "echo", "-"], ["run", "--until-empty"], ["list"], ["doctor"]] {
                    let variables = ["SHEAF_BROKER": wrong]
                    let run = try await site.bench.sheaf(arguments, input: "x\n", environment: variables)
                    #expect(run.code == 3, "\(run.talk)")
                    #expect((run.talk + run.output).contains("password"))
                    #expect(!(run.talk + run.output).contains("geheim"))
                }
                #expect(try await site.sheaf("list", "--json").output == "[]\n")
            }
        }
    }
}
