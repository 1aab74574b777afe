import SheafBroker
import SheafRabbitMQ
import SheafTestTools
import SheafTesting
import Testing

@Suite struct ConformanceTests {
    @Test("RabbitMQ follows every rule of a broker", arguments: BrokerConformance.cases)
    func conforms(to rule: BrokerConformanceCase) async throws {
        let node = try await RabbitMQNode.shared
        try await rule.run { try await RabbitMQBroker.connect(RabbitMQConfiguration(url: node.url)) }
    }
}
