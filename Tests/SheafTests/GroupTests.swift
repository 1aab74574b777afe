import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Synchronization
import Testing

/// Tasks that a worker hands to its flow in groups.
@Suite struct GroupTests {
    /// Runs a closure, and records which tasks it was handed together.
    private final class Recital: SerialFlow {
        let groupSize = 16
        let groups = Mutex<[[Int]]>([])
        let body: @Sendable (FlowTask) async throws -> Result<FlowOutput, FlowError>

        init(_ body: @escaping @Sendable (FlowTask) async throws -> Result<FlowOutput, FlowError>) { self.body = body }

        func run(
            _ tasks: ArraySlice<FlowTask>,
            more: @Sendable (Int) -> [FlowTask],
            ended: @Sendable (Result<FlowOutput, FlowError>) async -> Void
        ) async throws {
            groups.withLock { $0.append(tasks.map(\.index)) }
            for task in tasks { await ended(try await body(task)) }
        }

        var largest: Int { groups.withLock { $0.map(\.count).max() ?? 0 } }

        func definition(timeout: Duration? = nil, retries: Int = 0) throws -> FlowDefinition {
            FlowDefinition(
                name: Name("work"),
                flow: self,
                timeout: timeout,
                retries: retries,
                retryRule: RetryRule(delay: .milliseconds(100))
            )
        }
    }

    @Test("Each task of a group has its own outcome", arguments: BrokerKind.allCases)
    func eachTaskHasItsOwnOutcome(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = Recital { task in
                switch (task.index % 10, task.attempt) {
                case (3, 1): return .failure(FlowError(type: "busy", message: "later", isRetryable: true))
                case (5, _): return .failure(FlowError(type: "broken", message: "for good"))
                case (7, _): throw FlowError(type: "gone", message: "and with it the tasks that follow")
                default: return .success(.json(task.record.bytes))
                }
            }
            let batch = try await stage.client { try await $0.create(plan(), records: records(400)) }
            let report = try await stage.work([try flow.definition(retries: 1)]) { $0.concurrency = 2 }
            #expect(report.succeeded == 320 && report.failed == 80 && report.retried == 40)
            let outcomes = try await stage.client { try await $0.allResults(batch.id, ordered: true) }
            #expect(outcomes.map(\.index) == Array(0..<400))
            for outcome in outcomes {
                let digit = outcome.index % 10
                #expect(outcome.error?.type == (digit == 5 ? "broken" : digit == 7 ? "gone" : nil))
                #expect(outcome.attempts == (digit == 3 ? 2 : 1))
                #expect(outcome.output == (digit == 5 || digit == 7 ? nil : Array(#"{"n":\#(outcome.index)}"#.utf8)))
                #expect(outcome.startedAt <= outcome.finishedAt)
            }
            #expect(flow.largest > 1, "they are handed over together if there are enough")
        }
    }

    @Test("Cancelling a batch cancels tasks of a group whose turn has not come", arguments: BrokerKind.allCases)
    func tasksWithoutATurnAreCancelledWithTheBatch(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let (hanging, bell) = AsyncStream.makeStream(of: Int.self)
            let flow = Recital { task in
                if task.index >= 100 {
                    bell.yield(task.index)
                    try await Task.sleep(for: .seconds(100))
                }
                return .success(.value(1))
            }
            let batch = try await stage.client { try await $0.create(plan(), records: records(200)) }
            let definition = try flow.definition()
            async let report = stage.work([definition]) { $0.concurrency = 1 }
            for await _ in hanging { break }
            try await stage.client { _ = try await $0.cancel(batch.id.text, now: true) }
            _ = try await report
            let summary = try await stage.client { try await $0.batch(batch.id.text) }
            #expect(summary.status == .cancelled)
            #expect(summary.counts.total == 200 && summary.counts.pending == 0 && summary.counts.failed == 0)
            let outcomes = try await stage.client { try await $0.allResults(batch.id) }
            #expect(Set(outcomes.filter { $0.status == .succeeded }.map(\.index)).isSubset(of: 0..<100))
        }
    }

    @Test("Tasks that need a permit or may ask questions are not grouped")
    func cappedAndInteractiveTasksAreNotGrouped() async throws {
        try await Stage.with(.embedded) { stage in
            let changes: [(inout BatchPlan) -> Void] = [
                { $0.options.maxRunning = 3 }, { $0.options.isInteractive = true },
            ]
            for change in changes {
                let flow = Recital { _ in .success(.value(1)) }
                _ = try await stage.client { try await $0.create(plan(change), records: records(50)) }
                #expect(try await stage.work([try flow.definition()]).succeeded == 50)
                #expect(flow.largest == 1)
            }
        }
    }
}
