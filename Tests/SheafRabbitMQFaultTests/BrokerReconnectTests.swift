import SheafTestTools
import Testing

@Suite(.serialized) struct BrokerReconnectTests {
    @Test("A thousand lost connections leak no descriptors, threads or memory", .timeLimit(.minutes(10)))
    func leaks() async throws {
        let start = ContinuousClock.now
        let reconnects = try await BrokerReconnects.run(rounds: 1_000, on: try await RabbitMQNode.shared.url)
        #expect(reconnects.late.connections >= 3_000)
        #expect(reconnects.growth == nil)
        let rate = (ContinuousClock.now - start) / 1_000
        print("| 1,000 times all connections reset | \(rate) a round | \(reconnects) |")
    }
}
