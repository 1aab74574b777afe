import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite struct PermitTests {
    private func sleepy(_ gauge: Gauge) throws -> FlowDefinition {
        try FlowDefinition.work { _ in
            await gauge.enter()
            try await Task.sleep(for: .milliseconds(30))
            await gauge.leave()
            return .value(1)
        }
    }

    @Test("Lowering max_running makes permits void", arguments: BrokerKind.allCases)
    func aLowerCapMakesPermitsVoid(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let (before, after) = (Gauge(), Gauge())
            let capped = try plan { $0.options.maxRunning = 6 }
            try await stage.client { client in
                let batch = try await client.create(capped, records: records(300))
                let info = try await client.batch(batch.id.text).info
                let permits = client.names.permits(batch: batch.id, generation: 0)
                try await client.broker.publish(
                    [Message(id: "no permit"), Permit(change: 0, number: 9).message],
                    to: permits
                )
                let first = Task { try await stage.work([try sleepy(before)]) { $0.concurrency = 10 } }
                try await until("some have run") { await before.total >= 20 }
                #expect(await before.most <= 6)
                first.cancel()
                _ = await first.result
                try await client.journal(.changed(maxRunning: 2), info)
                let report = try await stage.work([try sleepy(after)]) { $0.concurrency = 10 }
                #expect(report.finished > 0)
                #expect(await after.most == 2)
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 300))
            }
        }
    }

    @Test("max_running can be set and removed while a batch runs", arguments: BrokerKind.allCases)
    func aBatchBecomesCappedAndUncappedWhileItRuns(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let gauge = Gauge()
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(400))
                let info = try await client.batch(batch.id.text).info
                async let working = stage.work([try sleepy(gauge)]) { $0.concurrency = 8 }
                try await until("it runs freely") { await gauge.now > 3 }
                let permits = client.names.permits(batch: batch.id, generation: 0)
                try await client.broker.declareQueue(QueueDeclaration(name: permits, kind: .tokens()))
                try await client.broker.publish((0..<2).map { Permit(change: 1, number: $0).message }, to: permits)
                try await client.journal(.changed(maxRunning: 2), info)
                let queue = client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
                try await until("it is capped, and what had begun before has ended") {
                    let status = try #require(try await client.broker.queueStatus(queue))
                    return await gauge.now <= 2 && status.consumers == 0
                }
                let count = await gauge.total
                for _ in 0..<10 {
                    #expect(await gauge.now <= 2)
                    try await Task.sleep(for: .milliseconds(20))
                }
                try await until("it goes on within the cap") { await gauge.total > count + 4 }
                try await client.journal(.changed(maxRunning: nil), info)
                try await until("it runs freely again") { await gauge.now > 3 }
                _ = try await working
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 400))
            }
        }
    }
}
