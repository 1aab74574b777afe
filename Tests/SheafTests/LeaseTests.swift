import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite struct LeaseTests {
    @Test("A long task runs on a lease", arguments: BrokerKind.allCases, [nil, 1])
    func aLongTaskRunsOnALease(kind: BrokerKind, cap: Int?) async throws {
        try await Stage.with(kind) { stage in
            let (gauge, gate) = (Gauge(), Gate())
            let flow = try FlowDefinition.work { task in
                await gauge.enter()
                if task.index == 0 { await gate.wait() }
                return .value(.integer(task.index))
            }
            let ordered = try plan { $0.options.maxRunning = cap }
            try await stage.client { client in
                let batch = try await client.create(ordered, records: records(4))
                let info = try await client.batch(batch.id.text).info
                async let working = stage.work([flow]) {
                    $0.concurrency = 2
                    $0.acknowledgementTimeout = .seconds(1.5)
                }
                try await until("task 0 is leased") {
                    try await client.events(of: batch.id).contains { event in
                        if case .leased(let lease) = event { lease.index == 0 } else { false }
                    }
                }
                let leases = try await client.events(of: batch.id).compactMap { event in
                    if case .leased(let lease) = event { lease } else { nil }
                }
                let lease = try #require(leases.first)
                let isLocked = try await client.broker.isLocked(client.names.workerLock(lease.worker))
                #expect(isLocked)
                // The others go on beside it, unless there is one permit only, which it keeps.
                if cap == nil {
                    try await until("the others are done") {
                        try await client.batch(batch.id.text).counts.succeeded == 3
                    }
                } else {
                    try await Task.sleep(for: .seconds(2))
                    #expect(await gauge.total == 1)
                    #expect(try await client.waiting(in: info) == 3)
                }
                await gate.open()
                let report = try await working
                #expect(report.succeeded == 4)
                #expect(report.returned == 0 || cap == nil)
                #expect(await gauge.total == 4)
                let outcomes = try await client.allResults(batch.id)
                #expect(outcomes.count == 4 && outcomes.allSatisfy { $0.attempts <= 2 })
                #expect(outcomes.first { $0.index == 0 }?.attempts == 1)
                let isStillLocked = try await client.broker.isLocked(client.names.workerLock(lease.worker))
                #expect(!isStillLocked)
            }
        }
    }

    @Test("A leased task returns to its queue when its worker ends", arguments: BrokerKind.allCases)
    func aLeasedTaskReturnsToItsQueue(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let stuck = try FlowDefinition.work { _ in
                try await Task.sleep(for: .seconds(60))
                return .value(1)
            }
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(1))
                let info = try await client.batch(batch.id.text).info
                let worker = Task { try await stage.work([stuck]) { $0.acknowledgementTimeout = .seconds(1) } }
                try await until("the task is leased and its delivery acknowledged") {
                    try await client.events(of: batch.id).contains { if case .leased = $0 { true } else { false } }
                }
                worker.cancel()
                _ = await worker.result
                #expect(try await client.waiting(in: info) == 1)
                let quick = try FlowDefinition.work { _ in .value(2) }
                try await stage.work([quick])
                let events = try await client.events(of: batch.id)
                let leased = events.compactMap { if case .leased(let lease) = $0 { lease.id } else { nil } }
                let returned = events.compactMap { if case .returned(let id) = $0 { id } else { nil } }
                #expect(leased == returned)
                let outcomes = try await client.allResults(batch.id)
                #expect(outcomes.map(\.output) == [Array("2".utf8)])
            }
        }
    }

    @Test("A leased task can be retried", arguments: BrokerKind.allCases)
    func aLeasedTaskCanBeRetried(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            var flow = try FlowDefinition.work(retries: 1) { task in
                if task.attempt > 1 { return .value(1) }
                try await Task.sleep(for: .seconds(1))
                throw FlowError(type: "busy", message: "", isRetryable: true)
            }
            flow.retryRule.delay = .milliseconds(100)
            let settled = flow
            let batch = try await stage.client { try await $0.create(plan(), records: records(1)) }
            try await stage.work([settled]) { $0.acknowledgementTimeout = .seconds(1) }
            try await stage.client { client in
                let outcomes = try await client.allResults(batch.id)
                #expect(outcomes.map(\.attempts) == [2])
                let returned = try await client.events(of: batch.id).count {
                    if case .returned = $0 { true } else { false }
                }
                #expect(returned >= 1)
            }
        }
    }
}
