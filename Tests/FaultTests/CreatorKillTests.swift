import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// The creator killed at ten points of a large file, on both brokers; IntegrationTests has a quick version.
@Suite(.serialized, .timeLimit(.minutes(15))) struct CreatorKillTests {
    @Test("A creation killed ten times is resumed with bounded repeats", arguments: BrokerKind.allCases)
    func aCreatorIsKilledTenTimes(kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            let start = ContinuousClock.now
            let trial = CreationTrial(site: site, records: 100_000, kills: 10)
            let repeats = try await trial.run()
            #expect(repeats <= trial.kills * CreationTrial.repeatsPerKill)
            print("\(kind): \(trial.kills) kills, \(trial.records) records, \(repeats) repeats, \(.now - start)")
        }
    }
}
