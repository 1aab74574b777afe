import Sheaf
import SheafCore
import SheafTestSupport
import Testing

@Suite("Events of a batch") struct BatchEventTests {
    @Test("A batch begins before its tasks and ends after them, whatever the clocks of the workers say")
    func clocks() async throws {
        try await Stage.with(.embedded) { stage in
            try await stage.client { client in
                for ahead in [Duration.seconds(-3600), .zero, .seconds(3600)] {
                    let batch = try await client.create(plan(), records: records(2))
                    let queue = client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
                    while let delivery = try await client.broker.get(queue) {
                        try await client.note(.succeeded, of: BatchTask(delivery.message), at: .now + ahead)
                        try await client.broker.settle(delivery, as: .acknowledged)
                    }
                    try await until("it ends") { try await client.batch(batch.id.text).status == .completed }
                    var words: [String] = []
                    try await client.events(of: batch.id.text) { words.append($0.what) }
                    #expect(words.first == "created" && words.last == "finished", "\(ahead): \(words)")
                    #expect(words.count { $0 == "succeeded" } == 2)
                }
            }
        }
    }
}
