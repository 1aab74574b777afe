import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Synchronization
import Testing

@Suite struct WorkerTests {
    @Test("A cancelled worker returns its tasks", arguments: BrokerKind.allCases)
    func aCancelledWorkerReturnsItsTasks(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let (gauge, gate) = (Gauge(), Gate())
            let slow = try FlowDefinition.work { _ in
                await gauge.enter()
                if await gauge.total == 4 { await gate.open() }
                try await Task.sleep(for: .seconds(60))
                return .value(1)
            }
            let batch = try await stage.client { try await $0.create(plan(), records: records(20)) }
            let first = Task { try await stage.work([slow]) { $0.concurrency = 4 } }
            await gate.wait()
            first.cancel()
            _ = await first.result
            let quick = try FlowDefinition.work { _ in .value(2) }
            let report = try await stage.work([quick])
            #expect(report.finished == 20)
            try await stage.client { client in
                let summary = try await client.batch(batch.id.text)
                #expect(summary.counts == BatchCounts(succeeded: 20))
                #expect(try await client.allResults(batch.id).allSatisfy { $0.output == Array("2".utf8) })
            }
        }
    }

    @Test("A foreign message goes to the dead letters and has no other effect", arguments: BrokerKind.allCases)
    func aForeignMessageGoesToTheDeadLetters(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            // The batch must not end, and its queue with it, before the foreign messages after its tasks were handled.
            let rejected = Gate()
            let flow = try FlowDefinition.work { task in
                if task.index == 0 { await rejected.wait() }
                return .value(1)
            }
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(10))
                let queue = client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0)
                let stray = BatchTask(
                    flow: batch.flow,
                    batch: batch.id,
                    index: 999,
                    record: Record(id: "x", kind: .json, bytes: Array("{}".utf8))
                )
                try await client.broker.publish([Message(id: "hello", body: [1, 2, 3]), stray.message], to: queue)
                async let working = stage.work([flow])
                while try await client.broker.queueStatus(client.names.suspects(flow: batch.flow))?.ready != 2 {
                    try await Task.sleep(for: .milliseconds(20))
                }
                await rejected.open()
                _ = try await working
                let summary = try await client.batch(batch.id.text)
                #expect(summary.counts == BatchCounts(succeeded: 10))
                let reader = try await client.broker.read(client.names.dead, from: .first)
                var dead: Set<String> = []
                // Rejected once as a task and once as a suspect, which a worker takes when it is idle.
                async let idle = stage.work([flow]) {
                    $0.untilEmpty = false
                    $0.maxTime = .seconds(8)
                }
                while dead.count < 2, let chunk = try await reader.next() {
                    for entry in chunk.entries where DeadLetterSighting(entry.message) == nil {
                        dead.insert(entry.message.id)
                    }
                }
                await reader.cancel()
                #expect(dead == ["hello", stray.id])
                _ = try await idle
            }
        }
    }

    @Test("Slow tasks are not hoarded", arguments: BrokerKind.allCases)
    func slowTasksAreNotHoarded(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let gauge = Gauge()
            let flow = try FlowDefinition.work { _ in
                await gauge.enter()
                try await Task.sleep(for: .milliseconds(200))
                await gauge.leave()
                return .value(1)
            }
            let batch = try await stage.client { try await $0.create(plan(), records: records(20)) }
            let shares = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<2 { group.addTask { try await stage.work([flow]) { $0.concurrency = 1 }.finished } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(shares.reduce(0, +) == 20)
            #expect(shares.allSatisfy { $0 >= 8 }, "\(shares)")
            #expect(await gauge.most == 2)
            #expect(try await stage.client { try await $0.batch(batch.id.text) }.status == .completed)
        }
    }

    @Test("Prefetched tasks are shared when tasks become slow", arguments: BrokerKind.allCases)
    func prefetchedTasksAreShared(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let (fast, slow) = (8_000, 20)
            let (first, firstHasBegun) = AsyncStream.makeStream(of: Void.self)
            let (second, secondIsDone) = AsyncStream.makeStream(of: Void.self)
            let ended = Atomic(0)
            func flow(_ slowly: @escaping @Sendable () async -> Void) throws -> FlowDefinition {
                try .work { task in
                    if task.index >= fast { await slowly() }
                    return .value(1)
                }
            }
            let firstFlow = try flow {
                firstHasBegun.finish()
                // It has one of them until the other has had all but a few.
                for await _ in second {}
            }
            let secondFlow = try flow {
                if ended.add(1, ordering: .relaxed).newValue == slow - 4 { secondIsDone.finish() }
            }
            let batch = try await stage.client { try await $0.create(plan(), records: records(fast + slow)) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await stage.work([firstFlow]) { $0.concurrency = 1 } }
                group.addTask {
                    // When the first one holds all that is left.
                    for await _ in first {}
                    try await stage.work([secondFlow]) { $0.concurrency = 1 }
                }
                try await group.waitForAll()
            }
            let outcomes = try await stage.client { try await $0.allResults(batch.id) }
            #expect(outcomes.count == fast + slow)
            #expect(outcomes.allSatisfy { $0.attempts == 1 })
        }
    }

    @Test("Many batches share a worker", arguments: BrokerKind.allCases)
    func manyBatchesShareAWorker(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try FlowDefinition.work { _ in .value(1) }
            try await stage.client { client in
                for _ in 0..<12 { try await client.create(plan(), records: records(20)) }
                let report = try await stage.work([flow]) { $0.concurrency = 2 }
                #expect(report.finished == 240)
                let batches = try await client.batches()
                #expect(batches.count == 12)
                #expect(batches.allSatisfy { $0.status == .completed && $0.counts.succeeded == 20 })
            }
        }
    }

    @Test("A worker leaves when its time is up or no task comes", arguments: BrokerKind.allCases)
    func aWorkerLeavesWhenItsTimeIsUpOrNothingComes(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try FlowDefinition.work { _ in .value(1) }
            for change: @Sendable (inout WorkerConfiguration) -> Void in [
                { $0.maxTime = .milliseconds(300) }, { $0.idleTimeout = .milliseconds(300) },
            ] {
                let start = ContinuousClock.now
                let report = try await stage.work([flow]) {
                    $0.untilEmpty = false
                    change(&$0)
                }
                #expect(report.finished == 0)
                #expect(.now - start >= .milliseconds(300))
            }
        }
    }

    @Test("A worker ignores batches of flows it does not know", arguments: BrokerKind.allCases)
    func aBatchOfAnUnknownFlowIsLeftAlone(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let other = try plan { $0.flow = "other" }
            try await stage.client { client in
                try await client.create(other, records: records(3))
                let flow = try FlowDefinition.work { _ in .value(1) }
                #expect(try await stage.work([flow]).finished == 0)
                #expect(try await client.batch("last").status == .pending)
            }
        }
    }
}
