import Foundation
import SheafFlows
import Synchronization
import Testing

@testable import SheafCommands

/// When a machine is taken for idle.
@Suite(.timeLimit(.minutes(1))) struct IdleMachineTests {
    private typealias Sight = IdleMachine.Sight

    @Test func whoNeedsTheMachine() {
        let machine = IdleMachine(cores: 4)
        #expect(machine.reason(Sight()) == nil)
        #expect(machine.reason(Sight(load: 1.9, sinceInput: .seconds(300))) == nil)
        #expect(machine.reason(Sight(load: 0, sinceInput: .seconds(12))) == "somebody typed something 12 s ago")
        #expect(machine.reason(Sight(load: 2.5)) == "others keep it busy (a load of 2.5 on 4 cores)")
    }

    @Test func ownTasksAreNotHeldAgainstUs() {
        var machine = IdleMachine(cores: 2)
        #expect(machine.reason(Sight(load: 5)) != nil)
        for _ in 0..<60 { machine.note(running: 5, for: .seconds(5)) }
        #expect(machine.reason(Sight(load: 5)) == nil)
        #expect(machine.reason(Sight(load: 7)) == "others keep it busy (a load of 2.0 on 2 cores)")
        for _ in 0..<60 { machine.note(running: 0, for: .seconds(5)) }
        #expect(machine.reason(Sight(load: 5)) != nil)
    }

    @Test func onlyTerminalsCount() {
        #expect(Sight.sinceInput(at: ["/dev/null"]) != nil)
        #expect(Sight.sinceInput(at: ["/etc/passwd", "/dev/no-such-terminal"]) == nil)
    }

    /// One sight after the other; the last one stays.
    private final class Sights: Sendable {
        let list: Mutex<[Sight]>

        init(_ sights: [Sight]) { list = Mutex(sights) }

        func next() -> Sight { list.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] } }
    }

    @Test func waitsUntilOthersAreDone() async throws {
        let sights = Sights([Sight(load: 9), Sight(load: 9), Sight(load: 0)])
        let watch = IdleWatch(cores: 1, interval: .milliseconds(1)) { sights.next() }
        var told: [String] = []
        try await watch.untilIdle { told.append($0) }
        #expect(told == ["others keep it busy (a load of 9.0 on 1 core)"])
        sights.list.withLock { $0 = [Sight(load: 0), Sight(sinceInput: .zero)] }
        #expect(try await watch.untilNeeded().hasPrefix("somebody typed something"))
    }
}
