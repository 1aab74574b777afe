import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import Testing

/// A process may die at any of its calls to the broker while it creates or ends a pilot.
@Suite("Pilots interrupted at any call", .serialized) struct PilotFaultTests {
    private static let total = 6

    private func planned(_ id: Name) throws -> BatchPlan {
        try plan {
            $0.id = id
            $0.options.pilot = Pilot(tasks: 2)
            $0.input = BatchInput()
        }
    }

    private static func items(from position: Int = 0) -> AsyncStream<[SourceItem]> {
        AsyncStream { continuation in
            for number in (position..<total) {
                // The order of publishing is not that of the indices.
                let index = total - 1 - number
                let record = Record(id: "r\(index)", kind: .json, bytes: Array("\(index)".utf8))
                continuation.yield([SourceItem(index: index, place: record.id, content: .record(record))])
            }
            continuation.finish()
        }
    }

    /// Takes all tasks of a queue and lets them succeed; a copy of a task is taken once.
    private func run(_ queue: String, _ client: SheafClient) async throws -> Set<Int> {
        var indices: Set<Int> = []
        while let delivery = try await client.broker.get(queue) {
            let task = try BatchTask(delivery.message)
            if indices.insert(task.index).inserted { try await client.note(.succeeded, of: task) }
            try await client.broker.settle(delivery, as: .acknowledged)
        }
        return indices
    }

    @Test(
        "A creation with a pilot that is killed at any call can be resumed",
        arguments: BrokerKind.allCases,
        FailingBroker.Moment.allCases
    )
    func creation(kind: BrokerKind, moment: FailingBroker.Moment) async throws {
        try await Stage.with(kind, timeout: .seconds(300)) { stage in
            var (step, isWhole) = (0, false)
            while !isWhole {
                let id = try #require(Name("b\(step)"))
                isWhole = try await stage.dying(after: step, moment) { client in
                    _ = try await client.create(planned(id), from: Self.items())
                }
                try await stage.client { client in
                    let exists = try await client.batches().contains { $0.info.id == id }
                    let batch =
                        exists
                        ? try await client.resume(id) { Self.items(from: $0) }
                        : try await client.create(planned(id), from: Self.items())
                    #expect(batch.total == Self.total, "killed at step \(step)")
                    let names = client.names
                    let rest = names.restOfTasks(flow: batch.flow, batch: id)
                    let first = try await run(names.tasks(flow: batch.flow, batch: id, generation: 0), client)
                    #expect(first == [4, 5], "killed at step \(step)")
                    let paused = try await client.batch(id.text)
                    #expect(paused.info.awaitsResume, "killed at step \(step)")
                    #expect(paused.info.pilotResult == Pilot.Result(tasks: 2, succeeded: 2, failed: 0))
                    try await client.resume(id.text)
                    #expect(try await run(rest, client) == [0, 1, 2, 3], "killed at step \(step)")
                    let done = try await client.batch(id.text)
                    #expect(done.status == .completed && done.counts == BatchCounts(succeeded: Self.total))
                }
                step += 1
            }
            #expect(step > 10, "the creation makes more calls than that")
        }
    }

    @Test(
        "An aggregator that is killed at any call while it ends a pilot leaves that to the next one",
        arguments: BrokerKind.allCases,
        FailingBroker.Moment.allCases
    )
    func ending(kind: BrokerKind, moment: FailingBroker.Moment) async throws {
        try await Stage.with(kind, timeout: .seconds(300)) { stage in
            var (step, isWhole) = (0, false)
            while !isWhole {
                let id = try #require(Name("b\(step)"))
                let batch = try await stage.client { client in
                    let batch = try await client.create(planned(id), from: Self.items())
                    try await client.runByHand(batch)
                    return batch
                }
                isWhole = try await stage.dying(after: step, moment) { _ = try await $0.batch(id.text) }
                try await stage.client { client in
                    #expect(try await client.batch(id.text).info.awaitsResume, "killed at step \(step)")
                    #expect(try await client.batch(id.text).counts == BatchCounts(pending: 4, succeeded: 2))
                    try await client.resume(id.text)
                    let rest = client.names.restOfTasks(flow: batch.flow, batch: id)
                    #expect(try await run(rest, client).count == 4)
                    #expect(try await client.batch(id.text).status == .completed, "killed at step \(step)")
                }
                step += 1
            }
            #expect(step > 5, "the end of a pilot takes more calls than that")
        }
    }
}
