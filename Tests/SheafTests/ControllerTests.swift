import Testing

@testable import SheafWorker

@Suite("Prefetch and budget") struct ControllerTests {
    private static let unlimited = TaskBudget(limit: nil, slots: 8)

    @Test("A queue's consumers are raised, shared, lowered or left")
    func changes() {
        let slow = PrefetchController(slots: 8)
        let fast = PrefetchController(slots: 8, rate: 1_000)
        let near = TaskBudget(limit: 40, slots: 8)
        let table: [(PrefetchController, current: Int, isBusy: Bool, TaskBudget, PrefetchController.Change)] = [
            (slow, 0, true, Self.unlimited, .raise(by: 8)),
            (slow, 8, true, Self.unlimited, .none),
            (slow, 0, false, Self.unlimited, .raise(by: 1)),
            (slow, 32, true, Self.unlimited, .share(keeping: 8)),
            (slow, 31, true, Self.unlimited, .none),
            (fast, 8, true, Self.unlimited, .raise(by: 50)),
            (fast, 58, true, Self.unlimited, .none),
            (fast, 0, true, near, .raise(by: 10)),
            (fast, 58, true, near, .lower(to: 10)),
            (slow, 8, false, Self.unlimited, .share(keeping: 1)),
        ]
        for (number, row) in table.enumerated() {
            let change = row.0.change(from: row.current, isBusy: row.isBusy, busyCount: 1, budget: row.3)
            #expect(change == row.4, "row \(number)")
        }
        #expect(slow.change(from: 0, isBusy: false, busyCount: 0, budget: near) == .raise(by: 1))
        let gathering = slow.change(from: 8, isBusy: true, busyCount: 1, budget: Self.unlimited, least: 500)
        #expect(gathering == .raise(by: 492))
    }

    @Test("Prefetched tasks are shared if they last long and outcomes can be written")
    func sharing() {
        let controller = PrefetchController(slots: 8, rate: 100)
        #expect(controller.mayShare(held: 50, claimed: 101, isStalled: false))
        #expect(!controller.mayShare(held: 50, claimed: 100, isStalled: false))
        #expect(!controller.mayShare(held: 50, claimed: 101, isStalled: true))
        #expect(controller.mayShare(held: 0, claimed: 0, isStalled: true))
    }

    @Test("Ended tasks are counted early only while slots wait and tasks end")
    func looks() {
        let (timing, start) = (WorkerTiming(), ContinuousClock.now)
        var controller = PrefetchController(slots: 2, now: start)
        func next(_ waits: Int, awaited: Bool = false, consuming: Bool = true, at now: ContinuousClock.Instant)
            -> Duration
        {
            controller.nextLook(isAwaited: awaited, waits: waits, isConsuming: consuming, now: now) - start
        }
        #expect(next(0, at: start) == timing.fetchInterval)
        #expect(next(1, at: start) == timing.earlyLook)
        #expect(next(1, at: start) == timing.fetchInterval, "no slot has waited since")
        #expect(next(1, awaited: true, at: start) == timing.earlyLook)
        #expect(next(1, awaited: true, consuming: false, at: start) == timing.fetchInterval)
        #expect(controller.look(ended: 3, now: start + .milliseconds(10)) == .none, "too few to count")
        #expect(controller.look(ended: 20, now: start + .milliseconds(20)) == .raised)
        #expect(controller.rate == 600, "it at most doubles")
        #expect(controller.look(ended: 20, now: start + timing.fetchInterval) == .regular)
        // Nothing has ended for a second, so nothing is looked at early.
        let later = start + timing.fetchInterval + timing.hungryTime
        #expect(next(2, awaited: true, at: later) == timing.fetchInterval * 2)
    }

    @Test("Without a limit, a budget allows everything")
    func unlimited() {
        var budget = Self.unlimited
        budget.claim(1_000)
        budget.take(1_000)
        let mustEnd = budget.mustEndConsumers(settling: 1_000, consumed: 1_000)
        #expect(!mustEnd && !budget.isSpent && !budget.takesOneByOne && budget.allowsPull)
        #expect(budget.prefetch(500, busyCount: 2) == 500)
    }

    @Test("Consumers end before settlements could bring more tasks than are left")
    func nearTheLimit() {
        var budget = TaskBudget(limit: 100, slots: 8)
        #expect(budget.prefetch(500, busyCount: 1) == 25 && budget.prefetch(500, busyCount: 5) == 5)
        #expect(!budget.takesOneByOne)
        budget.take(60)
        let table: [(count: Int, consumed: Int, mustEnd: Bool)] = [
            (15, 25, false), (50, 0, false), (16, 25, true),
        ]
        for row in table {
            let mustEnd = budget.mustEndConsumers(settling: row.count, consumed: row.consumed)
            #expect(mustEnd == row.mustEnd, "settling \(row.count)")
            #expect(budget.takesOneByOne == row.mustEnd)
        }
    }

    @Test("Single tasks are taken only beyond what the consumers may bring")
    func pulling() {
        var budget = TaskBudget(limit: 24, slots: 8)
        #expect(budget.takesOneByOne && budget.allowsPull)
        budget.claim(23)
        #expect(budget.allowsPull)
        budget.take(1)
        #expect(!budget.allowsPull)
        budget.unclaim(23)
        budget.take(23)
        #expect(budget.isSpent && !budget.allowsPull && budget.remaining == 0)
        budget.putBack(2)
        #expect(!budget.isSpent && budget.remaining == 2)
        budget.take(3)
        #expect(budget.isSpent)
    }
}
