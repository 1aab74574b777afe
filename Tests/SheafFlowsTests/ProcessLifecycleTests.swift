import Testing

@testable import SheafFlows

@Suite struct ProcessLifecycleTests {
    private typealias Event = ProcessLifecycle.Event
    private typealias Action = ProcessLifecycle.Action

    private static let output: Duration = .seconds(1)
    private static let termination: Duration = .seconds(2)
    private static let stragglers: Duration = .milliseconds(200)

    @Test(
        "Events lead to the expected actions",
        arguments: [
            ([.outputClosed, .exited], [[], [.killGroup, .finish]]),
            ([.exited, .outputClosed], [[.wait(output, number: 1)], [.killGroup, .finish]]),
            (
                [.exited, .waited(number: 1), .outputClosed],
                [[.wait(output, number: 1)], [.killGroup, .wait(stragglers, number: 2)], [.killGroup, .finish]]
            ),
            (
                [.exited, .waited(number: 1), .waited(number: 2)],
                [[.wait(output, number: 1)], [.killGroup, .wait(stragglers, number: 2)], [.killGroup, .finish]]
            ),
            (
                [.cancelled, .exited, .outputClosed],
                [[.terminateGroup, .wait(termination, number: 1)], [], [.killGroup, .finish]]
            ),
            (
                [.cancelled, .exited, .waited(number: 1), .outputClosed],
                [
                    [.terminateGroup, .wait(termination, number: 1)], [], [.killGroup, .wait(stragglers, number: 2)],
                    [.killGroup, .finish],
                ]
            ),
            (
                [
                    .outputTooLarge, .waited(number: 1), .waited(number: 2), .exited, .waited(number: 2),
                    .waited(number: 3),
                ],
                [
                    [.terminateGroup, .wait(termination, number: 1)], [.killGroup, .wait(stragglers, number: 2)], [],
                    [.wait(stragglers, number: 3)], [], [.killGroup, .finish],
                ]
            ),
            ([.exited, .cancelled], [[.wait(output, number: 1)], [.killGroup, .wait(stragglers, number: 2)]]),
            (
                [.cancelled, .cancelled, .outputTooLarge],
                [[.terminateGroup, .wait(termination, number: 1)], [], []]
            ),
            ([.outputClosed, .exited, .exited, .cancelled], [[], [.killGroup, .finish], [], []]),
        ] as [([ProcessLifecycle.Event], [[ProcessLifecycle.Action]])]
    )
    func actions(events: [ProcessLifecycle.Event], actions: [[ProcessLifecycle.Action]]) {
        var lifecycle = ProcessLifecycle()
        let answers = events.map { lifecycle.handle($0) }
        #expect(answers == actions)
    }

    @Test("The reason for ending a process is kept")
    func reason() {
        var lifecycle = ProcessLifecycle()
        _ = lifecycle.handle(.outputTooLarge)
        _ = lifecycle.handle(.cancelled)
        #expect(lifecycle.stop == .outputTooLarge)
    }
}
