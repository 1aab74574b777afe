import SheafTestTools
import Testing

@Suite struct ReconnectTests {
    /// A short run; SheafRabbitMQFaultTests contains the long one.
    @Test("A hundred lost connections leak no descriptors, threads or memory", .timeLimit(.minutes(3)))
    func leaks() async throws {
        let reconnects = try await BrokerReconnects.run(rounds: 100, on: try await RabbitMQNode.shared.url)
        #expect(reconnects.late.connections >= 300)
        #expect(reconnects.growth == nil)
    }
}
