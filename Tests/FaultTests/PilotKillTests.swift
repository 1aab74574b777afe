import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// Workers killed during a pilot and after it, with the real command.
@Suite(.serialized, .timeLimit(.minutes(10))) struct PilotKillTests {
    private static let total = 300
    private static let pilot = 100
    /// How many workers are killed in each part.
    private static let kills = 15

    @Test("Killed workers run nothing but the pilot before the batch is resumed", arguments: BrokerKind.allCases)
    func kills(kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            let lines = (0..<Self.total).map { "\($0)\n" }.joined()
            try await site.create("noted", "-", "--batch-id", "b1", "--pilot", "\(Self.pilot)", input: lines)
            try await work(at: site, upTo: Self.pilot)
            let status = try await site.status().json
            #expect(status["status"] == "paused" && status["pilot"]?["state"] == "waiting", "\(status)")
            #expect(status["pilot"]?["succeeded"]?.intValue == Self.pilot)
            #expect(status["counts"]?["pending"]?.intValue == Self.total - Self.pilot)
            #expect(Set(try site.noted("begun")).count == Self.pilot, "no other task has begun")

            #expect(try await site.sheaf("resume", "b1").code == 0)
            try await work(at: site, upTo: Self.total)
            try await site.complete(BatchCounts(succeeded: Self.total))
            #expect(Set(try site.noted("begun")) == Set(0..<Self.total))
        }
    }

    /// Runs three workers until no task may run, and kills them one by one meanwhile.
    private func work(at site: Site, upTo end: Int) async throws {
        let crew = WorkerCrew(site, "-c", "2")
        async let work = crew.work(3)
        let start = (try? site.noted("ended").count) ?? 0
        for number in 1...Self.kills {
            let goal = start + (end - start) * number / (Self.kills + 3)
            try await site.bench.until("a worker has died at \(goal) tasks", limit: .seconds(120)) {
                guard (try? site.noted("ended").count) ?? 0 >= goal else { return false }
                return await crew.kill(number.isMultiple(of: 3) ? .youngest : .oldest)
            }
        }
        #expect(try await work.allSatisfy { $0.code == 0 })
        #expect(await crew.deaths >= Self.kills)
    }
}
