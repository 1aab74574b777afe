import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite struct AttemptTests {
    private func flow(_ rule: RetryRule, retries: Int, fails: @escaping @Sendable (FlowTask) -> Bool) throws
        -> FlowDefinition
    {
        var flow = try FlowDefinition.work(retries: retries) { task in
            if fails(task) { throw FlowError(type: "busy", message: "attempt \(task.attempt)", isRetryable: true) }
            return .value(1)
        }
        flow.retryRule = rule
        return flow
    }

    @Test("An outcome contains the errors of all attempts", arguments: BrokerKind.allCases)
    func anOutcomeHasTheErrorsOfAllAttempts(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try flow(RetryRule(delay: .milliseconds(100), maximumDelay: .milliseconds(300)), retries: 3) {
                $0.index == 0 || $0.attempt < 3
            }
            let batch = try await stage.client { try await $0.create(plan(), records: records(2)) }
            let report = try await stage.work([flow]) { $0.name = "me" }
            #expect(report.retried == 5)
            try await stage.client { client in
                let outcomes = try await client.allResults(batch.id, ordered: true)
                #expect(outcomes.map(\.status) == [.failed, .succeeded])
                #expect(outcomes.map(\.attempts) == [4, 3])
                #expect(outcomes.map { $0.errors.map(\.attempt) } == [[1, 2, 3, 4], [1, 2]])
                let errors = outcomes.flatMap(\.errors)
                #expect(
                    errors.allSatisfy {
                        $0.type == "busy" && $0.worker == "me" && $0.message == "attempt \($0.attempt)"
                    }
                )
                #expect(outcomes.first?.error?.message == "attempt 4")
                let delays = try await client.events(of: batch.id).compactMap { event in
                    if case .delayed(let index, _, let delay) = event { (index: index, delay: delay) } else { nil }
                }
                #expect(delays.map(\.index).sorted() == [0, 0, 0, 1, 1])
                #expect(delays.allSatisfy { (.milliseconds(75)...(.milliseconds(300))).contains($0.delay) })
            }
        }
    }

    @Test("A flow's own error may have the type 'cancelled'")
    func aFlowMayCallItsErrorCancelled() async throws {
        try await Stage.with(.embedded) { stage in
            let flow = try FlowDefinition.work(retries: 3) { _ in
                throw FlowError(type: "cancelled", message: "by the shop")
            }
            let batch = try await stage.client { try await $0.create(plan(), records: records(1)) }
            try await stage.work([flow])
            let outcomes = try await stage.client { try await $0.allResults(batch.id) }
            #expect(outcomes.map(\.status) == [.failed])
            #expect(outcomes.map(\.error?.message) == ["by the shop"])
        }
    }

    @Test("The retry rule decides which failures are retried", arguments: BrokerKind.allCases)
    func theRuleDecidesWhatIsRetried(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try flow(RetryRule(on: .listed(types: ["timeout"], exitCodes: [])), retries: 3) { _ in true }
            let batch = try await stage.client { try await $0.create(plan(), records: records(1)) }
            #expect(try await stage.work([flow]).retried == 0)
            let outcome = try await stage.client { try await $0.allResults(batch.id) }.first
            #expect(outcome?.attempts == 1)
            #expect(outcome?.errors.count == 1)
        }
    }
}
