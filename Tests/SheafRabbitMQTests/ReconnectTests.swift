import SheafTesting
import Testing

@Suite struct ReconnectTests {
    /// A short run; SheafRabbitMQFaultTests has the long one.
    @Test(.timeLimit(.minutes(3)))
    func nothingIsLeftOfAHundredLostConnections() async throws {
        let reconnects = try await BrokerReconnects.run(rounds: 100, on: try await RabbitMQNode.shared.url)
        #expect(reconnects.late.connections >= 300)
        #expect(reconnects.growth == nil)
    }
}
