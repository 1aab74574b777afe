import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite("Lost queues") struct LostQueueTests {
    @Test("A batch whose task queue was deleted is stopped with a reason", arguments: BrokerKind.allCases)
    func aBatchWhoseQueueIsGoneIsHaltedWithAReason(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let gauge = Gauge()
            let flow = try FlowDefinition.work { _ in
                await gauge.enter()
                try await Task.sleep(for: .milliseconds(20))
                return .value(1)
            }
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(500))
                let other = try await client.create(plan(), records: records(30))
                async let working = stage.work([flow])
                try await until("tasks run") { await gauge.total > 10 }
                try await client.broker.deleteQueue(
                    client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
                )
                _ = try await working
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .failed)
                let reason = try #require(summary.info.stopped?.reason)
                #expect(reason.hasPrefix("queue-lost: "))
                #expect(summary.info.stopAdvice == .retryMissing(batch.id))
                #expect(try await client.batch(other.id.text).counts == BatchCounts(succeeded: 30))
            }
        }
    }

    @Test(
        "A dead letter of a batch without its results log keeps no other from its outcome",
        arguments: BrokerKind.allCases
    )
    func aDeadLetterWithoutAResultsLog(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let lost = try await client.create(plan(), records: records(3))
                try await client.broker.deleteLog(client.names.results(batch: lost.id))
                let other = try await client.create(plan(), records: records(1))
                try await client.broker.purgeQueue(
                    client.names.tasks(flow: other.flow, batch: other.id, generation: 0)
                )
                for batch in [lost, other] {
                    let record = Record(id: "r0", kind: .json, bytes: Array("0".utf8))
                    var letter = BatchTask(flow: batch.flow, batch: batch.id, index: 0, record: record).message
                    letter.headers.append(.init(DeathHeaders.reason, .string("delivery_limit")))
                    try await client.broker.append(letter, to: client.names.dead)
                }
                let flow = try FlowDefinition.work { _ in .value(1) }
                try await stage.work([flow])
                #expect(try await client.batch(other.id.text).counts == BatchCounts(failed: 1))
                let reason = try #require(try await client.batch(lost.id.text).info.stopped?.reason)
                #expect(reason.hasPrefix("results-lost"))
            }
        }
    }
}
