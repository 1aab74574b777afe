import SheafFlows
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

    /// Always returns the same bits.
    private struct Constant: RandomNumberGenerator {
        let bits: UInt64
        mutating func next() -> UInt64 { bits }
    }

    @Test(
        "Jitter shortens a delay by at most a quarter",
        arguments: [
            (1, 0, .milliseconds(375), .milliseconds(375)),
            (1, .max, .milliseconds(499), .milliseconds(500)),
            (2, 0, .milliseconds(750), .milliseconds(750)),
            (3, 1 << 63, .milliseconds(1_700), .milliseconds(1_800)),
            (4, 0, .milliseconds(2_250), .milliseconds(2_250)),
            (100_000, .max, .milliseconds(2_999), .seconds(3)),
        ] as [(Int, UInt64, Duration, Duration)]
    )
    func jitter(attempt: Int, bits: UInt64, shortest: Duration, longest: Duration) {
        let rule = RetryRule(delay: .milliseconds(500), maximumDelay: .seconds(3))
        var generator = Constant(bits: bits)
        #expect((shortest...longest).contains(rule.delay(attempt: attempt, using: &generator)))
    }

    @Test("Delays with jitter stay within their range and differ")
    func jitterVaries() {
        let rule = RetryRule(delay: .seconds(1))
        var generator = SystemRandomNumberGenerator()
        let delays = (0..<100).map { _ in rule.delay(attempt: 1, using: &generator) }
        #expect(delays.allSatisfy { (.milliseconds(750)...(.seconds(1))).contains($0) })
        #expect(Set(delays).count > 1)
    }
}
