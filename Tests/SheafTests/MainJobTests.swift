import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafSources
import SheafTestSupport
import Testing

@Suite struct MainJobTests {
    @Test("A batch is published, run by three workers and aggregated", arguments: BrokerKind.allCases)
    func aBatchIsPublishedRunByThreeWorkersAndAggregated(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try FlowDefinition.work { task in .json(task.record.bytes) }
            let total = 3000
            let batch = try await stage.client { try await $0.create(plan(), records: records(total)) }
            #expect(batch.total == total)
            let finished = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<3 { group.addTask { try await stage.work([flow]).finished } }
                return try await group.reduce(0, +)
            }
            #expect(finished >= total)
            try await stage.client { client in
                let summary = try await client.batch("last")
                #expect(summary.info.id == batch.id)
                #expect(summary.status == .completed)
                #expect(summary.counts == BatchCounts(succeeded: total))
                #expect(summary.startedAt != nil)
                #expect(summary.finishedAt != nil)
                let outcomes = try await client.allResults(batch.id, ordered: true)
                #expect(outcomes.map(\.index) == Array(0..<total))
                for outcome in outcomes {
                    #expect(outcome.output == Array(#"{"n":\#(outcome.index)}"#.utf8))
                    #expect(outcome.recordID == "r\(outcome.index)")
                }
                #expect(Set(try await client.allResults(batch.id).map(\.index)).count == total)
            }
        }
    }

    @Test("The limit of tasks is exact and the rest stays queued", arguments: BrokerKind.allCases)
    func aLimitIsExactAndTheRestStaysQueued(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try FlowDefinition.work { _ in .value(1) }
            let batch = try await stage.client { try await $0.create(plan(), records: records(200)) }
            for limit in [1, 7, 100] {
                let report = try await stage.work([flow]) {
                    $0.untilEmpty = false
                    $0.maxTasks = limit
                }
                #expect(report.finished == limit)
            }
            try await stage.client { client in
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .processing)
                #expect(summary.counts == BatchCounts(pending: 92, succeeded: 108))
                #expect(try await client.allResults(batch.id).count == 108)
            }
            try await stage.work([flow])
            try await stage.client { client in
                let summary = try await client.batch(batch.id.text)
                #expect(summary.counts == BatchCounts(succeeded: 200))
                // A task that is taken and returned counts as an attempt; near the limit, at most one prefetch is.
                let outcomes = try await client.allResults(batch.id)
                #expect(outcomes.count { $0.attempts > 1 } <= 5)
            }
        }
    }

    @Test("Parameters make variants of each record", arguments: BrokerKind.allCases)
    func parametersMakeVariants(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try FlowDefinition.work { .value($0.parameters) }
            let variants = try plan {
                $0.defaults = ["a": 1, "b": 2]
                $0.options.parameters = ["b": [3, 4]]
            }
            let batch = try await stage.client { try await $0.create(variants, records: records(3)) }
            #expect(batch.total == 6)
            try await stage.work([flow])
            let outcomes = try await stage.client { try await $0.allResults(batch.id, ordered: true) }
            let expected = Array(repeating: [#"{"a":1,"b":3}"#, #"{"a":1,"b":4}"#], count: 3).flatMap { $0 }
            #expect(outcomes.map { String(decoding: $0.output ?? [], as: UTF8.self) } == expected)
        }
    }

    @Test("An unreadable record becomes a failed outcome", arguments: BrokerKind.allCases)
    func anUnreadableRecordBecomesAFailedOutcome(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try FlowDefinition.work { _ in .value(nil) }
            let good = Record(id: "g", kind: .text, bytes: Array("x".utf8))
            let large = Record(id: "l", kind: .text, bytes: [UInt8](repeating: 0x61, count: 2 << 20))
            let items = [
                SourceItem(index: 0, place: "in:1", content: .record(good)),
                SourceItem(index: 1, place: "in:2", content: .invalid(message: "expected a value")),
                SourceItem(index: 2, place: "in:3", content: .record(large)),
            ]
            let stopping = try plan { $0.options.errorPolicy = .stop(above: 0) }
            let source = AsyncStream<[SourceItem]> { continuation in
                continuation.yield(items)
                continuation.finish()
            }
            let batch = try await stage.client { try await $0.create(stopping, from: source) }
            #expect(batch.total == 3)
            #expect(batch.invalid == 2)
            try await stage.work([flow])
            try await stage.client { client in
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .completed)
                #expect(summary.counts == BatchCounts(succeeded: 1, failed: 2))
                let outcomes = try await client.allResults(batch.id, ordered: true)
                #expect(outcomes.map(\.error?.type) == [nil, "invalid-record", "invalid-record"])
                #expect(outcomes[1].error?.message == "in:2: expected a value")
                #expect(outcomes[2].error?.message.contains("2097152 bytes") == true)
            }
        }
    }

    @Test("Creating a batch without records fails", arguments: BrokerKind.allCases)
    func nothingIsCreatedFromNothing(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let error = await #expect(throws: SheafError.self) {
                    try await client.create(plan(), records: records(0))
                }
                #expect(error?.code == .invalid)
                let batches = try await client.batches()
                #expect(batches.isEmpty)
                let missing = await #expect(throws: SheafError.self) { try await client.batch("last") }
                #expect(missing?.code == .notFound)
            }
        }
    }

    @Test("A batch id can be used once", arguments: BrokerKind.allCases)
    func anIdIsUsedOnce(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let named = try plan { $0.id = Name("mine") }
            try await stage.client { client in
                try await client.create(named, records: records(2))
                let error = await #expect(throws: SheafError.self) {
                    try await client.create(named, records: records(3))
                }
                #expect(error?.code == .alreadyExists)
                #expect(try await client.batches().map(\.total) == [2])
            }
        }
    }

    @Test("Retryable failures are retried", arguments: BrokerKind.allCases)
    func retryableFailuresAreRetried(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try FlowDefinition.work(retries: 1) { task in
                if task.index == 0, task.attempt == 1 {
                    throw FlowError(type: "busy", message: "later", isRetryable: true)
                }
                if task.index == 1 { throw FlowError(type: "busy", message: "always", isRetryable: true) }
                if task.index == 2 { throw FlowError(type: "broken", message: "for good") }
                return .value(.integer(task.attempt))
            }
            let batch = try await stage.client { try await $0.create(plan(), records: records(4)) }
            let report = try await stage.work([flow])
            #expect(report.retried == 2)
            let outcomes = try await stage.client { try await $0.allResults(batch.id, ordered: true) }
            #expect(outcomes.map(\.status) == [.succeeded, .failed, .failed, .succeeded])
            #expect(outcomes.map(\.attempts) == [2, 2, 1, 1])
            #expect(outcomes[2].record?.bytes == Array(#"{"n":2}"#.utf8))
        }
    }

    @Test("Progress ends with the batch", arguments: BrokerKind.allCases)
    func progressEndsWithTheBatch(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try FlowDefinition.work { _ in .value(1) }
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(50))
                let late = await #expect(throws: SheafError.self) {
                    try await client.wait(for: batch.id.text, timeout: .milliseconds(300))
                }
                #expect(late?.code == .timedOut)
                async let report = stage.work([flow])
                var seen: [BatchSummary] = []
                for try await summary in client.progress(of: batch.id.text) { seen.append(summary) }
                #expect(seen.last?.status == .completed)
                #expect(seen.allSatisfy { $0.counts.total == 50 })
                #expect(try await report.finished == 50)
            }
        }
    }
}
