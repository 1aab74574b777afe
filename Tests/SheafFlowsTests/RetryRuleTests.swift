import SheafFlows
import Testing

@Suite struct RetryRuleTests {
    private let timeout = FlowError(type: "timeout", message: "", isRetryable: true)
    private let busy = FlowError(type: "exit-code", message: "", isRetryable: true, exitCode: 75)
    private let broken = FlowError(type: "exit-code", message: "", exitCode: 2)
    private let bad = FlowError(type: "invalid-record", message: "")
    private let cancelled = FlowError(type: FlowError.cancelledType, message: "")

    @Test func saysWhatIsTriedAgain() {
        for (condition, expected) in [
            (.asTheFlowSays, [true, true, false]), (.all, [true, true, true]), (.none, [false, false, false]),
            (.listed(types: ["timeout"], exitCodes: [2]), [true, false, true]),
            (.listed(types: ["exit-code"], exitCodes: []), [false, true, true]),
        ] as [(RetryRule.Condition, [Bool])] {
            let rule = RetryRule(on: condition)
            #expect([timeout, busy, broken].map(rule.allows) == expected)
            #expect(!rule.allows(bad) && !rule.allows(cancelled))
        }
    }

    @Test func delaysDoubleUpToTheLongest() {
        let rule = RetryRule(delay: .milliseconds(500), maximumDelay: .seconds(3))
        #expect(
            (1...5).map(rule.delay(after:)) == [.milliseconds(500), .seconds(1), .seconds(2), .seconds(3), .seconds(3)]
        )
        #expect(rule.delay(after: 100_000) == .seconds(3))
        #expect(RetryRule().delay(after: 1) == .seconds(1))
        #expect(RetryRule().delay(after: 20) == .seconds(300))
    }
}
