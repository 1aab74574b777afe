import SheafFlows
import SheafTestTools
import Testing

@Suite struct RetryRuleTests {
    private let timeout = FlowError(type: FlowError.timeoutType, message: "", isRetryable: true)
    private let busy = FlowError(type: "exit-code", message: "", isRetryable: true, exitCode: 75)
    private let broken = FlowError(type: "exit-code", message: "", exitCode: 2)
    private let bad = FlowError(type: FlowError.invalidRecordType, message: "")
    private let cancelled = FlowError(type: FlowError.cancelledType, message: "")

    @Test("A rule decides which failures are retried")
    func conditions() {
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

    @Test("Delays double up to the longest")
    func delays() {
        let rule = RetryRule(delay: .milliseconds(500), maximumDelay: .seconds(3))
        #expect(
            (1...5).map(rule.delay(after:)) == [.milliseconds(500), .seconds(1), .seconds(2), .seconds(3), .seconds(3)]
        )
        #expect(rule.delay(after: 100_000) == .seconds(3))
        #expect(RetryRule().delay(after: 1) == .seconds(1))
        #expect(RetryRule().delay(after: 20) == .seconds(300))
    }

    @Test(
        "Jitter shortens a delay by at most a quarter",
        arguments: [
            (1, .milliseconds(500)), (2, .seconds(1)), (3, .seconds(2)), (4, .seconds(3)), (100_000, .seconds(3)),
        ] as [(Int, Duration)]
    )
    func jitter(attempt: Int, longest: Duration) {
        let rule = RetryRule(delay: .milliseconds(500), maximumDelay: .seconds(3))
        var generator = SeededGenerator(state: 1)
        let shares = (0..<200).map { _ in rule.delay(attempt: attempt, using: &generator) / longest }
        #expect(shares.allSatisfy { (0.75...1).contains($0) })
        #expect(shares.contains { $0 < 0.78 } && shares.contains { $0 > 0.97 }, "the whole range is used")
    }

    @Test("The generator determines the jitter")
    func seededJitter() {
        let rule = RetryRule()
        var (first, second) = (SeededGenerator(state: 7), SeededGenerator(state: 7))
        let delays = (1...20).map { rule.delay(attempt: $0, using: &first) }
        #expect(delays == (1...20).map { rule.delay(attempt: $0, using: &second) })
    }
}
