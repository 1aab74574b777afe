import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// Two hundred workers killed while submissions to providers take minutes, with the real command.
@Suite(.serialized, .timeLimit(.minutes(20))) struct SubmissionKillTests {
    private static let tasks = 20_000
    private static let kills = 200
    /// One whose submissions can be found at once, and one whose submissions cannot.
    private static let providers = [BulkProvider.openai, .anthropic]
    /// Shorter than a submission takes, and than all kills take.
    private static let timeout = Duration.seconds(30)

    @Test("200 killed workers pay for no request twice", arguments: BrokerKind.allCases, Self.providers)
    func twoHundredKills(kind: BrokerKind, provider: BulkProvider) async throws {
        // Each submission takes 45 seconds, and the answer to every tenth creation is lost.
        try await BatchServer.with(["plain": true, "state_time": 15, "lose_every": 10]) { server in
            switch kind {
            case .embedded: try await Site.with(.embedded) { try await Self.kill(at: $0, provider, server, kind) }
            case .rabbitMQ:
                let timeout = Self.timeout.components.seconds * 1_000
                let node = try await RabbitMQNode.start(
                    settings: ["consumer_timeout=\(timeout)", "channel_tick_interval=2000"]
                )
                try await Site.with(node) { try await Self.kill(at: $0, provider, server, kind) }
                try await node.stop()
            }
        }
    }

    private static func kill(
        at site: Site,
        _ provider: BulkProvider,
        _ server: BatchServer,
        _ kind: BrokerKind
    ) async throws {
        let start = ContinuousClock.now
        let bulk = "{ queue_threshold: 1000, wait_time: 2s }"
        try site.bench.write(provider.configuration(server, bulk: bulk), to: "sheaf.yaml")
        let lines = (0..<tasks).map { #"{"n": "\#($0)"}"# + "\n" }.joined()
        try await site.create("ask", "-", "--format", "jsonl", "--batch-id", "b", input: lines)
        let crew = WorkerCrew(site, "-c", "2")
        async let work = crew.work(2)
        var random = SeededGenerator(state: 1)
        for number in 0..<kills {
            let pause = Duration.milliseconds(Int.random(in: 50...2_500, using: &random))
            try await Task.sleep(for: pause)
            try await site.bench.until("worker \(number) can be killed") {
                await crew.kill(number.isMultiple(of: 3) ? .youngest : .oldest)
            }
        }
        let runs = try await work
        #expect(runs.allSatisfy { $0.code == 0 }, "\(runs.map(\.talk))")
        let rows = try await site.complete(BatchCounts(succeeded: tasks), of: "b")
        let log = try await server.log()
        #expect(log["paid"]?.intValue == tasks && log["paid_twice"] == 0, "\(log)")
        let repeated = rows.count { $0["attempts"] != 1 }
        print(
            """
            \(kind.rawValue), \(provider): \(await crew.deaths) kills; \(log["creates"] ?? .null) submissions accepted, \
            \(log["paid_twice"] ?? .null) requests paid twice, \(repeated) tasks of more than one attempt; \
            \(ContinuousClock.now - start)
            """
        )
    }
}
