import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import Testing

@Suite("Deleting batches") struct DeleteTests {
    @Test("Only a batch that has ended can be deleted without force", arguments: BrokerKind.allCases)
    func onlyABatchThatHasEndedGoesWithoutForce(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(5))
                let error = await #expect(throws: SheafError.self) { try await client.delete(batch.id.text) }
                #expect(error?.code == .notNow)
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(pending: 5))
                let gone = try await client.delete(batch.id.text, force: true)
                #expect(gone == DeletedBatch(id: batch.id, wasDeleted: false))
                #expect(try await client.batches().isEmpty)
                #expect(try await client.waiting(batch, generation: 0) == nil)
                let missing = await #expect(throws: SheafError.self) { try await client.delete("nosuch") }
                #expect(missing?.code == .notFound)
            }
        }
    }

    @Test("Batches that ended before a timestamp are found", arguments: BrokerKind.allCases)
    func batchesThatEndedLongAgoAreFound(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let ended = try await client.create(plan(), records: records(2))
                try await client.runByHand(ended)
                let summary = try await client.batch(ended.id.text)
                let moment = try #require(summary.info.ending?.at)
                try await client.create(plan(), records: records(2))
                #expect(try await client.batches(endedBefore: moment).isEmpty)
                let old = try await client.batches(endedBefore: moment + .milliseconds(1))
                #expect(old.map(\.info.id) == [ended.id])
                #expect(old.first?.counts == BatchCounts(succeeded: 2))
            }
        }
    }
}
