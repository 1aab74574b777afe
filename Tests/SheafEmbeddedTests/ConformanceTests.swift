import SheafEmbedded
import SheafTesting
import Testing

@Suite("The embedded broker keeps the rules of all brokers")
struct ConformanceTests {
    @Test(arguments: BrokerConformance.cases)
    func conforms(to rule: BrokerConformanceCase) async throws {
        let folder = try TemporaryFolder()
        try await rule.run { try await SQLiteBroker.open(directory: folder.broker) }
    }
}
