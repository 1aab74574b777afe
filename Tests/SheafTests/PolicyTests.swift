import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite struct PolicyTests {
    /// When tasks began, by the clock of this process, in which all workers of these tests run.
    actor Starts {
        private(set) var moments: [ContinuousClock.Instant] = []
        func note() { moments.append(.now) }
    }

    @Test("The policy stop halts all workers at once and leaves the rest queued", arguments: BrokerKind.allCases)
    func stopHaltsAllWorkersAtOnceAndTheRestStaysQueued(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let starts = Starts()
            let flow = try FlowDefinition.work { task in
                await starts.note()
                if task.index == 100 { throw FlowError(type: "broken", message: "for good") }
                try await Task.sleep(for: .milliseconds(20))
                return .value(1)
            }
            let stopping = try plan { $0.options.errorPolicy = .stop(above: 0) }
            let batch = try await stage.client { try await $0.create(stopping, records: records(2000)) }
            let halted = try await withThrowingTaskGroup(of: ContinuousClock.Instant?.self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        try await stage.work([flow])
                        return nil
                    }
                }
                group.addTask {
                    try await stage.client { client in
                        let summary = try await client.wait(for: batch.id.text)
                        #expect(summary.status == .failed)
                        return .now
                    }
                }
                var halted: ContinuousClock.Instant?
                for try await moment in group { halted = halted ?? moment }
                return try #require(halted)
            }
            let late = await starts.moments.filter { $0 > halted + .milliseconds(250) }
            #expect(late.isEmpty, "\(late.count) tasks were started more than 250 ms after the stop was known")
            try await stage.client { client in
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .failed)
                #expect(summary.info.stopped?.reason.contains("task 100") == true)
                #expect(summary.counts.total == 2000)
                #expect(summary.counts.failed == 1)
                #expect(summary.counts.running == 0)
                #expect(summary.counts.pending > 1000)
                let queue = client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
                let ready = try #require(try await client.broker.queueStatus(queue)).ready
                #expect(ready == summary.counts.pending)
            }
            let report = try await stage.work([flow])
            #expect(report.finished == 0, "a worker that starts later leaves a stopped batch alone")
        }
    }

    @Test(
        "Counted and percentage policies stop a batch within two seconds",
        arguments: BrokerKind.allCases,
        ["stop:10", "stop:5%"]
    )
    func countedLimitsTripWithinTwoSeconds(kind: BrokerKind, policy: String) async throws {
        try await Stage.with(kind) { stage in
            let flow = try FlowDefinition.work { task in
                try await Task.sleep(for: .milliseconds(5))
                if task.index.isMultiple(of: 2) { throw FlowError(type: "broken", message: "even") }
                return .value(1)
            }
            let stopping = try plan { $0.options.errorPolicy = ErrorPolicy(policy) ?? .continue }
            let batch = try await stage.client { try await $0.create(stopping, records: records(4000)) }
            let report = try await stage.work([flow])
            let limit = policy == "stop:10" ? 10 : 200
            #expect(report.failed > limit)
            try await stage.client { client in
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .failed)
                #expect(summary.counts.pending > 0)
                let outcomes = try await client.allResults(batch.id).filter { $0.status == .failed }
                let moments = outcomes.map(\.finishedAt).sorted()
                let stoppedAt = try #require(summary.info.stopped?.at)
                #expect(stoppedAt - moments[limit] < .seconds(2))
            }
        }
    }

    @Test("A worker that starts after a cancel runs nothing", arguments: BrokerKind.allCases)
    func aCancelWithoutWorkersIsSeenByThoseThatComeLater(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let gauge = Gauge()
            let flow = try FlowDefinition.work { _ in
                await gauge.enter()
                return .value(1)
            }
            let batch = try await stage.client { try await $0.create(plan(), records: records(50)) }
            try await stage.client { client in
                let summary = try await client.cancel(batch.id.text)
                #expect(summary.status == .cancelled)
                #expect(summary.counts == BatchCounts(cancelled: 50))
            }
            try await stage.work([flow])
            #expect(await gauge.total == 0)
            try await stage.client { client in
                let error = await #expect(throws: SheafError.self) { try await client.cancel(batch.id.text) }
                #expect(error?.code == .alreadyFinished)
                let summary = try await client.batch(batch.id.text)
                #expect(summary.info.ending != nil)
            }
        }
    }

    @Test("Cancelling lets running tasks finish, or ends them with now", arguments: BrokerKind.allCases, [false, true])
    func aCancelLetsRunningTasksFinishOrEndsThem(kind: BrokerKind, now: Bool) async throws {
        try await Stage.with(kind) { stage in
            let (gauge, gate, release) = (Gauge(), Gate(), Gate())
            let flow = try FlowDefinition.work { _ in
                await gauge.enter()
                if await gauge.total == 3 { await gate.open() }
                if now { try await Task.sleep(for: .seconds(60)) } else { await release.wait() }
                return .value(1)
            }
            let batch = try await stage.client { try await $0.create(plan(), records: records(50)) }
            async let report = stage.work([flow]) { $0.concurrency = 3 }
            await gate.wait()
            let summary = try await stage.client { client in
                try await client.cancel(batch.id.text, now: now)
                await release.open()
                return try await client.wait(for: batch.id.text)
            }
            _ = try await report
            #expect(summary.status == .cancelled)
            #expect(summary.counts == BatchCounts(succeeded: now ? 0 : 3, cancelled: now ? 50 : 47))
            #expect(await gauge.total == 3)
            let outcomes = try await stage.client { try await $0.allResults(batch.id) }
            #expect(outcomes.count == 3)
            #expect(outcomes.allSatisfy { $0.status == (now ? .cancelled : .succeeded) })
        }
    }

    @Test("max_running holds over all workers", arguments: BrokerKind.allCases)
    func aBatchsCapHoldsOverAllWorkers(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            // The first tasks wait for each other, so that the cap is reached however slowly the workers come.
            let (gauge, full) = (Gauge(), Gate())
            let flow = try FlowDefinition.work { _ in
                await gauge.enter()
                if await gauge.now == 7 { await full.open() }
                await full.wait()
                try await Task.sleep(for: .milliseconds(20))
                await gauge.leave()
                return .value(1)
            }
            let capped = try plan { $0.options.maxRunning = 7 }
            let batch = try await stage.client { try await $0.create(capped, records: records(100)) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await stage.work([flow]) } }
                try await group.waitForAll()
            }
            let most = await gauge.most
            #expect(most == 7)
            let summary = try await stage.client { try await $0.batch(batch.id.text) }
            #expect(summary.counts == BatchCounts(succeeded: 100))
        }
    }
}
