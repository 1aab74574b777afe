import Sheaf
import SheafCore
import SheafTesting
import Testing

/// The creator killed at ten points of a large file, on both brokers.
///
/// `Site.swift` and `CreatorResumeTrial.swift` are those of IntegrationTests, which has a quick version of this.
@Suite(.serialized, .timeLimit(.minutes(15))) struct CreatorKillTests {
    @Test(arguments: BrokerKind.allCases) func aCreatorIsKilledTenTimes(kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            let start = ContinuousClock.now
            let trial = ResumeTrial(site: site, records: 100_000, kills: 10)
            let repeats = try await trial.run()
            #expect(repeats <= trial.kills * ResumeTrial.repeatsPerKill)
            print("\(kind): \(trial.kills) kills, \(trial.records) records, \(repeats) repeats, \(.now - start)")
        }
    }
}
