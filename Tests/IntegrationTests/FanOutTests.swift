import AMQPClient
import Glibc
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// Copies of outcomes for queues of other programs, and `sheaf tap`.
    @Suite struct FanOutTests {
        /// A program that binds queues to the exchange of outcomes.
        private struct Stranger {
            let channel: AMQPChannel
            let exchange: String

            static func with(_ site: Site, _ body: (Stranger) async throws -> Void) async throws {
                let connection = try await AMQPConnection.connect(AMQPConfiguration(url: try Site.rabbitMQ))
                let stranger = Stranger(
                    channel: try await connection.openChannel(),
                    exchange: "\(site.namespace).results"
                )
                try await stranger.channel.declareExchange(stranger.exchange, type: "topic")
                let result: Result<Void, any Error>
                do { result = .success(try await body(stranger)) } catch { result = .failure(error) }
                await connection.close()
                try result.get()
            }

            func bind(_ suffix: String, _ arguments: AMQPTable, key: String = "#") async throws -> String {
                let queue = "\(exchange).\(suffix)"
                try await channel.declareQueue(queue, arguments: arguments)
                try await channel.bindQueue(queue, to: exchange, routingKey: key)
                return queue
            }

            func waiting(_ queue: String) async throws -> Int {
                try await channel.declareQueue(queue, passive: true).messageCount
            }

            /// The messages in a queue, which is deleted.
            func drain(_ queue: String) async throws -> [AMQPDelivery] {
                var messages: [AMQPDelivery] = []
                while let message = try await channel.get(queue) { messages.append(message) }
                try await channel.deleteQueue(queue)
                return messages
            }
        }

        @Test("Full and deleted queues of others, and a killed aggregator, cost no outcome", .timeLimit(.minutes(4)))
        func strangers() async throws {
            let count = 5_000
            try await Site.with(.rabbitMQ) { site in
                try await Stranger.with(site) { stranger in
                    let healthy = try await stranger.bind("healthy", ["x-queue-type": "classic"])
                    let full = try await stranger.bind("full", ["x-max-length": 5, "x-overflow": "reject-publish"])
                    let ends = try await stranger.bind("ends", ["x-queue-type": "classic"], key: "*.*.finished")
                    let deleted = try await stranger.bind("deleted", ["x-queue-type": "quorum"])
                    let input = (0..<count).map { "line \($0)\n" }.joined()
                    try await site.create(site.echo.text, "-", input: input)
                    let killed = try await site.sheaf("run") { number in
                        try await site.bench.until("some outcomes are copied") {
                            try await stranger.waiting(healthy) >= 300
                        }
                        try await stranger.channel.deleteQueue(deleted)
                        kill(number, SIGKILL)
                    }
                    #expect(killed.code == 137)
                    let run = try await site.bench.sheaf(["run"], limit: .seconds(120)) { number in
                        try await site.bench.until("the end is copied", limit: .seconds(100)) {
                            try await stranger.waiting(ends) > 0
                        }
                        kill(number, SIGINT)
                    }
                    #expect(run.code == 130, "\(run.talk)")
                    try await site.complete(BatchCounts(succeeded: count))
                    let copies = try await stranger.drain(healthy)
                    let indices = copies.compactMap { $0.headers["sheaf-index"]?.integer.map(Int.init) }
                    #expect(Set(indices) == Set(0..<count))
                    #expect(indices.count < 2 * count, "only what was not recorded as copied is copied again")
                    #expect(copies.last?.properties.type == "finished")
                    #expect(copies.last?.routingKey.hasSuffix(".finished") == true)
                    #expect(try await stranger.drain(full).count >= 5)
                    #expect(try await stranger.drain(ends).count == 1)
                }
            }
        }

        @Test("A tap prints outcomes and the end of a batch until it is interrupted", arguments: BrokerKind.allCases)
        func tapping(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let tap = try await site.bench.shell("exec $SHEAF tap echo >lines 2>notes") { number in
                    try await site.bench.until("the tap is ready") {
                        try site.bench.lines(of: "notes").contains { $0.hasPrefix("waiting") }
                    }
                    try await site.create(site.echo.text, "-", input: "one\ntwo\n")
                    try await site.create("words", "-", input: "of another flow\n")
                    #expect(try await site.sheaf("run", "--until-empty").code == 0)
                    try await site.bench.until("the end is printed") {
                        try site.bench.lines(of: "lines").contains { $0.contains("finished") }
                    }
                    kill(number, SIGINT)
                }
                #expect(tap.code == 130)
                let lines = try site.bench.lines(of: "lines").map { try JSON.parse(String($0)) }
                #expect(Set(lines.compactMap { $0["output"]?.stringValue }) == ["one", "two"])
                #expect(lines.allSatisfy { $0["flow"] == "echo" })
                #expect(lines.last?["event"] == "finished" && lines.last?["status"] == "completed")
            }
        }

        @Test("A tap ends quietly with the reader of its output", arguments: BrokerKind.allCases)
        func endingQuietly(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                try await site.create(site.echo.text, "-", input: "one\ntwo\nthree\n")
                #expect(try await site.sheaf("run", "--until-empty").code == 0)
                let line = "set -o pipefail; $SHEAF tap echo last --from-start --status succeeded -q | head -n 1"
                let tap = try await site.bench.shell(line)
                #expect(tap.code == 0 && tap.lines.count == 1 && tap.talk.isEmpty, "\(tap.talk)")
                let wrong = try await site.sheaf("tap", "words", "last")
                #expect(wrong.code == 64 && wrong.talk.contains("is of flow 'echo', not 'words'"), "\(wrong.talk)")
            }
        }
    }
}
