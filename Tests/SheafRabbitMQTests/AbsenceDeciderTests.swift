import Testing

@testable import SheafRabbitMQ

@Suite("A queue is reported as missing only if that is certain") struct AbsenceDeciderTests {
    /// A step of a scenario: seconds after the first sign, the look at that time, and the expected verdict.
    struct Step {
        let time: Double
        let look: AbsenceDecider.Look
        let verdict: AbsenceDecider.Verdict
    }

    struct Scenario: CustomTestStringConvertible {
        let testDescription: String
        let suspicion: AbsenceDecider.Suspicion
        /// When the connection becomes trusted, in seconds after the first sign.
        var trusted = -60.0
        var mayWait = true
        let steps: [Step]
    }

    private static let soon = AbsenceDecider.Verdict.lookAgain(after: .milliseconds(200))

    static let scenarios = [
        Scenario(
            testDescription: "a refusal without the queue on a trusted connection is certain",
            suspicion: .refused(.missing),
            steps: [Step(time: 0, look: .missing, verdict: .missing)]
        ),
        Scenario(
            testDescription: "a connection after a loss is trusted later",
            suspicion: .refused(.missing),
            trusted: 2.5,
            steps: [
                Step(time: 0, look: .missing, verdict: .lookAgain(after: .seconds(1))),
                Step(time: 1, look: .missing, verdict: .lookAgain(after: .seconds(1))),
                Step(time: 2, look: .missing, verdict: .lookAgain(after: .milliseconds(500))),
                Step(time: 2.5, look: .missing, verdict: .missing),
            ]
        ),
        Scenario(
            testDescription: "a queue that appears while the connection is not trusted is present",
            suspicion: .refused(.missing),
            trusted: 5,
            steps: [
                Step(time: 0, look: .missing, verdict: .lookAgain(after: .seconds(1))),
                Step(time: 1, look: .present, verdict: .present),
            ]
        ),
        Scenario(
            testDescription: "a returned message needs two looks",
            suspicion: .returned,
            steps: [
                Step(time: 0, look: .missing, verdict: .lookAgain(after: .seconds(1))),
                Step(time: 1, look: .missing, verdict: .missing),
            ]
        ),
        Scenario(
            testDescription: "a message returned by a queue that is starting does not make it missing",
            suspicion: .returned,
            steps: [
                Step(time: 0, look: .unavailable, verdict: soon), Step(time: 0.2, look: .present, verdict: .present),
            ]
        ),
        Scenario(
            testDescription: "a queue that becomes unavailable between two looks is looked at twice again",
            suspicion: .returned,
            steps: [
                Step(time: 0, look: .missing, verdict: .lookAgain(after: .seconds(1))),
                Step(time: 1, look: .unavailable, verdict: soon),
                Step(time: 1.2, look: .missing, verdict: .lookAgain(after: .seconds(1))),
                Step(time: 2.2, look: .missing, verdict: .missing),
            ]
        ),
        Scenario(
            testDescription: "an unavailable queue is waited for and never reported as missing",
            suspicion: .refused(.unavailable),
            steps: [
                Step(time: 0, look: .unavailable, verdict: soon), Step(time: 9.9, look: .unavailable, verdict: soon),
                Step(time: 10, look: .unavailable, verdict: .unavailable),
            ]
        ),
        Scenario(
            testDescription: "the queue of a cancelled consumer counts as present only after a second",
            suspicion: .consumerCancelled,
            steps: [
                Step(time: 0, look: .present, verdict: soon), Step(time: 0.9, look: .present, verdict: soon),
                Step(time: 1, look: .present, verdict: .present),
            ]
        ),
        Scenario(
            testDescription: "a queue deleted shortly after its consumer was cancelled is missing",
            suspicion: .consumerCancelled,
            steps: [
                Step(time: 0, look: .present, verdict: soon),
                Step(time: 0.2, look: .missing, verdict: .lookAgain(after: .seconds(1))),
                Step(time: 1.2, look: .missing, verdict: .missing),
            ]
        ),
        Scenario(
            testDescription: "a call that may not wait does not wait for a queue that is starting",
            suspicion: .refused(.unavailable),
            mayWait: false,
            steps: [Step(time: 0, look: .unavailable, verdict: .unavailable)]
        ),
        Scenario(
            testDescription: "a call that may not wait does not call a queue missing on a new connection",
            suspicion: .refused(.missing),
            trusted: 2.5,
            mayWait: false,
            steps: [
                Step(time: 0, look: .missing, verdict: .unavailable),
                Step(time: 2.5, look: .missing, verdict: .missing),
            ]
        ),
        Scenario(
            testDescription: "a call that may not wait reports a missing queue on a trusted connection",
            suspicion: .refused(.missing),
            mayWait: false,
            steps: [Step(time: 0, look: .missing, verdict: .missing)]
        ),
    ]

    @Test("Looks lead to the expected verdicts", arguments: scenarios)
    func verdicts(_ scenario: Scenario) {
        let start = ContinuousClock.now
        var decider = AbsenceDecider(scenario.suspicion, at: start, mayWait: scenario.mayWait)
        for step in scenario.steps {
            let verdict = decider.decide(
                step.look,
                at: start + .milliseconds(Int(step.time * 1_000)),
                trusted: start + .milliseconds(Int(scenario.trusted * 1_000))
            )
            #expect(verdict == step.verdict, "after \(step.time) s")
        }
    }
}
