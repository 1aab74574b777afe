import Foundation
import SheafFlows
import Synchronization
import Testing

@testable import SheafCommands

/// When a machine counts as idle.
@Suite(.timeLimit(.minutes(1))) struct IdleMachineTests {
    private typealias Sight = IdleMachine.Sight

    @Test("Load and input keep a machine from being idle") func reasons() {
        let machine = IdleMachine(cores: 4)
        #expect(machine.reason(Sight()) == nil)
        #expect(machine.reason(Sight(load: 1.9, sinceInput: .seconds(300))) == nil)
        #expect(machine.reason(Sight(load: 0, sinceInput: .seconds(12))) == "there was input at a terminal 12 s ago")
        #expect(machine.reason(Sight(load: 2.5)) == "other programs use the machine (a load of 2.5 on 4 cores)")
    }

    @Test("The load of our own tasks is subtracted") func ownLoadIsSubtracted() {
        var machine = IdleMachine(cores: 2)
        #expect(machine.reason(Sight(load: 5)) != nil)
        for _ in 0..<60 { machine.note(running: 5, for: .seconds(5)) }
        #expect(machine.reason(Sight(load: 5)) == nil)
        #expect(machine.reason(Sight(load: 7)) == "other programs use the machine (a load of 2.0 on 2 cores)")
        for _ in 0..<60 { machine.note(running: 0, for: .seconds(5)) }
        #expect(machine.reason(Sight(load: 5)) != nil)
    }

    @Test("Only character devices count as terminals") func onlyTerminalsCount() {
        #expect(Sight.sinceInput(at: ["/dev/null"]) != nil)
        #expect(Sight.sinceInput(at: ["/etc/passwd", "/dev/no-such-terminal"]) == nil)
    }

    /// One observation after the other; the last one stays.
    private final class Sights: Sendable {
        let list: Mutex<[Sight]>

        init(_ sights: [Sight]) { list = Mutex(sights) }

        func next() -> Sight { list.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] } }
    }

    @Test("The watch waits until the machine is idle and reports when it no longer is") func waitsUntilIdle()
        async throws
    {
        let sights = Sights([Sight(load: 9), Sight(load: 9), Sight(load: 0)])
        let watch = IdleWatch(cores: 1, interval: .milliseconds(1)) { sights.next() }
        var reports: [String] = []
        try await watch.untilIdle { reports.append($0) }
        #expect(reports == ["other programs use the machine (a load of 9.0 on 1 core)"])
        sights.list.withLock { $0 = [Sight(load: 0), Sight(sinceInput: .zero)] }
        #expect(try await watch.untilNeeded().hasPrefix("there was input at a terminal"))
    }
}
