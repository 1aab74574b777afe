import SheafCore
import Testing

@testable import SheafBatches

@Suite("Parts of the load of workers") struct LoadPartsTests {
    private let start = Timestamp(milliseconds: 1_795_919_412_345)

    @Test("Delayed tasks are counted by when they are due, rounded down by an eighth at most")
    func delays() {
        for delay in [Duration.milliseconds(125), .seconds(1), .seconds(20), .seconds(300), .seconds(86_400)] {
            var tasks = DelayedTasks()
            tasks.insert(1, for: delay, at: start)
            tasks.insert(2, for: delay, at: start + .milliseconds(1))
            let due = tasks.due(after: start + .seconds(-1))
            let slack = max(delay / 8, .seconds(1)) + .milliseconds(1)
            #expect(due.reduce(0) { $0 + $1.count } == 2)
            #expect(due.allSatisfy { $0.at <= start + delay + .milliseconds(1) && $0.at >= start + (delay - slack) })
            #expect(tasks.due(after: start + delay + .seconds(1)).isEmpty)
        }
        var many = DelayedTasks()
        for index in 0..<10_000 { many.insert(index, for: .milliseconds(index * 360), at: start) }
        #expect(many.due(after: start).count < 200, "an hour of delays has few different times")
    }

    @Test("A task counts for its last delay only, and no longer after its outcome")
    func oneDelay() {
        var tasks = DelayedTasks()
        tasks.insert(1, for: .seconds(10), at: start)
        tasks.insert(2, for: .seconds(10), at: start)
        tasks.insert(1, for: .seconds(600), at: start)
        #expect(tasks.due(after: start).map(\.count) == [1, 1])
        tasks.remove(2)
        tasks.remove(3)
        #expect(tasks.due(after: start + .seconds(60)).map(\.count) == [1])
        tasks.remove(1)
        #expect(tasks.due(after: start).isEmpty)
    }

    @Test("A busy worker is forgotten after 3 s of silence, an idle one after 25 s, and one that leaves at once")
    func roster() {
        let batch = Name("b")
        let now = ContinuousClock.now
        var roster = WorkerRoster()
        func names(_ seconds: Int) -> [String] {
            roster.prune(now: now + .seconds(seconds))
            return roster.live.map(\.name)
        }
        roster.apply(Heartbeat(worker: "busy", running: [batch: [4, 2]]), now: now, at: start)
        roster.apply(Heartbeat(worker: "idle", running: [:], host: "h", slots: 5, flows: [batch]), now: now, at: start)
        roster.apply(Heartbeat(worker: "left", running: [:]), now: now, at: start)
        roster.apply(Heartbeat(worker: "left", running: [:], hasLeft: true), now: now, at: start)
        #expect(names(2) == ["busy", "idle"])
        let later = start + .seconds(2)
        roster.apply(Heartbeat(worker: "busy", running: [batch: [4, 7]]), now: now + .seconds(2), at: later)
        #expect(roster.live.first?.running == [batch: [4: start, 7: later]])
        #expect(roster.live.first?.since == start && roster.live.first?.seenAt == later)
        #expect(names(4) == ["busy", "idle"])
        #expect(names(6) == ["idle"])
        #expect(roster.live.first?.slots == 5 && roster.live.first?.host == "h" && roster.live.first?.flows == [batch])
        #expect(names(26).isEmpty)
    }
}
