import SheafEmbedded
import SheafTesting
import Testing

@Suite("The embedded broker conforms to the broker contract")
struct ConformanceTests {
    @Test("Conformance case", arguments: BrokerConformance.cases)
    func conforms(to rule: BrokerConformanceCase) async throws {
        let folder = try TemporaryFolder()
        try await rule.run { try await SQLiteBroker.open(directory: folder.broker) }
    }
}
