import SheafBroker
import SheafCore
import SheafTestTools
import Synchronization
import Testing

@testable import SheafBatches
@testable import SheafWorker

@Suite("Task ledger") struct TaskLedgerTests {
    private let start = ContinuousClock.now
    private let batch: Name
    private var ledger: TaskLedger

    init() throws {
        batch = Name("b")
        ledger = TaskLedger(now: start)
    }

    private func token(_ tag: UInt64, epoch: UInt64 = 1) -> Delivery.Token {
        Delivery.Token(epoch: epoch, channel: 1, tag: tag)
    }

    private func permit(_ tag: UInt64) -> Delivery {
        let message = Permit(change: 0, number: Int(tag)).message
        return Delivery(message: message, queue: "permits", earlierDeliveries: 0, token: token(tag, epoch: 9))
    }

    private func delivery(_ tag: UInt64, epoch: UInt64 = 1, permit: Delivery? = nil, consumer: Int? = nil)
        -> TaskDelivery
    {
        let delivery = Delivery(message: Message(), queue: "q", earlierDeliveries: 0, token: token(tag, epoch: epoch))
        return TaskDelivery(delivery, from: QueueKey(batch: batch, generation: 0), permit: permit, consumer: consumer)
    }

    private func candidate(
        _ delivery: TaskDelivery,
        _ index: Int,
        generation: Int = 0,
        attempt: Int = 1,
        mayRun: Bool = true,
        continuations: Int = 0
    ) -> TaskLedger.Candidate {
        TaskLedger.Candidate(
            delivery: delivery,
            task: TaskKey(batch: batch, index: index, generation: generation),
            attempt: attempt,
            mayRun: mayRun,
            continuations: continuations
        )
    }

    private func task(_ index: Int) -> BatchTask {
        BatchTask(flow: "f", batch: batch, index: index, record: Record(id: "r", kind: .text, bytes: []))
    }

    private func lease(_ id: String) -> TaskLease { TaskLease(id: id, index: 0, generation: 0, worker: "w") }

    /// Receives a delivery and lets its task begin.
    private mutating func begin(_ delivery: TaskDelivery, _ index: Int = 0) {
        ledger.receive([delivery], now: start)
        let admission = ledger.admit(candidate(delivery, index), isStalled: false, isPaused: false)
        guard case .begin = admission else {
            Issue.record("task \(index) does not begin: \(admission)")
            return
        }
    }

    private mutating func confirm(_ deliveries: [TaskDelivery]) -> PendingSettlement {
        var settlement = PendingSettlement()
        ledger.confirm(deliveries, of: batch, adding: &settlement)
        return settlement
    }

    // MARK: Beginning

    @Test("A delivery is received, admitted, confirmed and released")
    mutating func life() {
        let first = delivery(1)
        ledger.receive([first], now: start)
        #expect(ledger.count == 1 && ledger.runningTasks.isEmpty && ledger.waitingCounts == [batch: 1])
        #expect(ledger.idleTime(start + .seconds(5)) == .zero)
        let isFirst = ledger.admit(candidate(first, 7), isStalled: false, isPaused: false)
        #expect(isFirst == .begin(isFirst: true))
        #expect(ledger.runningTasks == [batch: [7]] && ledger.waitingCounts.isEmpty)
        let settlement = confirm([first])
        #expect(settlement.owed == [token(1)] && settlement.released == [token(1)] && settlement.permits.isEmpty)
        #expect(ledger.runningTasks.isEmpty && ledger.count == 1)
        #expect(ledger.leftovers.confirmed.map(\.token) == [token(1)] && ledger.leftovers.unfinished.isEmpty)
        ledger.release(settlement.released, now: start + .seconds(1))
        #expect(ledger.isEmpty && ledger.idleTime(start + .seconds(3)) == .seconds(2))
    }

    @Test("Only the first task of a batch begins as its first")
    mutating func firstOfABatch() {
        let deliveries = (1...3).map { delivery($0) }
        ledger.receive(deliveries, now: start)
        let admissions = ledger.admit(
            deliveries.enumerated().map { candidate($1, $0) },
            isStalled: false,
            isPaused: false
        )
        #expect(admissions == [.begin(isFirst: true), .begin(isFirst: false), .begin(isFirst: false)])
        ledger.release(confirm(deliveries).released, now: start)
        let later = delivery(4)
        ledger.receive([later], now: start)
        #expect(ledger.admit(candidate(later, 3), isStalled: false, isPaused: false) == .begin(isFirst: false))
    }

    @Test(
        "A task that may not begin is returned or waits",
        arguments: [
            (mayRun: false, isStalled: false, isPaused: false, expected: TaskLedger.Admission.giveBack),
            (mayRun: true, isStalled: true, isPaused: false, expected: .giveBack),
            (mayRun: true, isStalled: false, isPaused: true, expected: .wait),
            (mayRun: false, isStalled: false, isPaused: true, expected: .giveBack),
        ]
    )
    mutating func refusals(
        row: (mayRun: Bool, isStalled: Bool, isPaused: Bool, expected: TaskLedger.Admission)
    ) {
        let first = delivery(1)
        ledger.receive([first], now: start)
        let admission = ledger.admit(
            candidate(first, 0, mayRun: row.mayRun),
            isStalled: row.isStalled,
            isPaused: row.isPaused
        )
        #expect(admission == row.expected)
        #expect(ledger.runningTasks.isEmpty && ledger.count == 1)
    }

    @Test("A halted batch begins nothing until it is resumed")
    mutating func halts() {
        let first = delivery(1)
        ledger.receive([first], now: start)
        let isNew = ledger.halt(batch, continuations: 0)
        let isNewAgain = ledger.halt(batch, continuations: 0)
        #expect(isNew && !isNewAgain)
        #expect(ledger.isHalted(batch, continuations: 0) && !ledger.isHalted(batch, continuations: 1))
        #expect(ledger.admit(candidate(first, 0), isStalled: false, isPaused: false) == .giveBack)
        let resumed = candidate(first, 0, continuations: 1)
        #expect(ledger.admit(resumed, isStalled: false, isPaused: false) == .begin(isFirst: true))
        let isNewHalt = ledger.halt(batch, continuations: 1)
        #expect(isNewHalt)
    }

    @Test("A delivery that the broker has taken back does not begin")
    mutating func unknownDelivery() {
        #expect(ledger.admit(candidate(delivery(1), 0), isStalled: false, isPaused: false) == .none)
        #expect(ledger.runningTasks.isEmpty)
    }

    // MARK: Lost connections

    @Test("A redelivery of a running task is attached and settled with it")
    mutating func redelivery() {
        let (first, again) = (delivery(1), delivery(1, epoch: 2, permit: permit(5)))
        begin(first, 4)
        ledger.receive([again], now: start + .seconds(1))
        #expect(ledger.admit(candidate(again, 4), isStalled: true, isPaused: true) == .none)
        #expect(ledger.count == 1 && ledger.runningTasks == [batch: [4]])
        let settlement = confirm([first])
        #expect(Set(settlement.owed) == [token(1), token(1, epoch: 2)])
        #expect(settlement.permits.map(\.permit.token) == [permit(5).token])
        #expect(settlement.released == [token(1)])
    }

    @Test("A task of another generation is not attached to a running one")
    mutating func otherGeneration() {
        let (first, second) = (delivery(1), delivery(2))
        begin(first)
        ledger.receive([second], now: start)
        let admission = ledger.admit(candidate(second, 0, generation: 1), isStalled: false, isPaused: false)
        #expect(admission == .begin(isFirst: false))
        _ = confirm([first])
        #expect(ledger.runningTasks == [batch: [0]], "the second one still runs")
    }

    @Test(
        "The next attempt at a task is not attached to the failed one, which is not settled yet",
        arguments: [false, true]
    )
    mutating func nextAttempt(isLeased: Bool) {
        let (first, second) = (delivery(1), delivery(2))
        begin(first)
        if isLeased {
            let isOffered = ledger.offer(lease("l"), to: first)
            let isLeased = ledger.completeLease(of: first) != nil
            #expect(isOffered && isLeased)
        }
        ledger.receive([second], now: start)
        let admission = ledger.admit(candidate(second, 0, attempt: 2), isStalled: false, isPaused: false)
        #expect(admission == .begin(isFirst: false))
        let closed = ledger.close([first])
        #expect(closed.first?.settlement.owed == (isLeased ? [] : [token(1)]), "the second one is not settled with it")
        ledger.release([token(1)], now: start)
        #expect(ledger.runningTasks == [batch: [0]], "the second one still runs")
        // A copy of the first attempt changes nothing.
        let copy = delivery(3)
        ledger.receive([copy], now: start)
        let copied = ledger.admit(candidate(copy, 0, attempt: 1), isStalled: false, isPaused: false)
        #expect(copied == .none)
        let settlement = confirm([second])
        #expect(Set(settlement.owed) == [token(2), token(3)])
    }

    @Test("A task whose outcome was written before a lost connection is acknowledged at its redelivery")
    mutating func recentOutcome() {
        let first = delivery(1)
        begin(first, 3)
        ledger.release(confirm([first]).released, now: start)
        let again = delivery(1, epoch: 2)
        ledger.receive([again], now: start)
        #expect(ledger.admit(candidate(again, 3), isStalled: false, isPaused: false) == .acknowledge)
        let retried = candidate(again, 3, generation: 1)
        #expect(ledger.admit(retried, isStalled: false, isPaused: false) == .begin(isFirst: false))
    }

    @Test("Deliveries of a lost connection are forgotten unless their task is on a lease")
    mutating func lostDeliveries() {
        let (waiting, leased) = (delivery(1), delivery(2))
        begin(leased, 1)
        _ = ledger.offer(lease("l"), to: leased)
        _ = ledger.completeLease(of: leased)
        ledger.deferTask(of: leased)
        ledger.receive([waiting], now: start)
        let kept = ledger.lose([waiting, leased], now: start)
        #expect(kept.map(\.token) == [token(2)])
        #expect(ledger.count == 1 && ledger.leasedCount == 1)
    }

    // MARK: Ending

    @Test("Closing twice returns the same, and a closed task cannot change")
    mutating func closingTwice() {
        let first = delivery(1, permit: permit(5))
        begin(first)
        let offered = ledger.offer(lease("l"), to: first)
        #expect(offered)
        let closed = [ledger.close([first]), ledger.close([first])].compactMap(\.first)
        for closed in closed {
            #expect(closed.lease?.id == "l" && !closed.isLeased && closed.task?.index == 0)
            #expect(closed.settlement.owed == [token(1)] && closed.settlement.released == [token(1)])
            #expect(closed.settlement.permits.map(\.permit.token) == [permit(5).token])
        }
        #expect(closed.count == 2 && ledger.runningTasks.isEmpty && ledger.count == 1)
        let isOffered = ledger.offer(lease("m"), to: first)
        let isLeased = ledger.completeLease(of: first) != nil
        let taken = ledger.takePermit(of: first)
        let isGiven = ledger.givePermit(permit(6), to: first, now: start)
        #expect(!isOffered && !isLeased && taken == nil && !isGiven)
        #expect(ledger.leasesDue(before: start + .seconds(9)).isEmpty)
        #expect(ledger.permitsDue(before: start + .seconds(9)).isEmpty)
        #expect(ledger.unstarted(before: start + .seconds(9)).isEmpty)
        #expect(ledger.admit(candidate(first, 0), isStalled: false, isPaused: false) == .none)
    }

    @Test("A confirmed task is left to acknowledge, an unfinished one to return")
    mutating func leftovers() {
        let (done, running, waiting) = (delivery(1), delivery(2), delivery(3))
        begin(done, 0)
        begin(running, 1)
        ledger.receive([waiting], now: start)
        _ = confirm([done])
        #expect(ledger.leftovers.confirmed.map(\.token) == [token(1)])
        #expect(Set(ledger.leftovers.unfinished.map(\.token)) == [token(2), token(3)])
    }

    @Test("Releasing an unknown delivery has no effect, and closing one settles it with its permit")
    mutating func unknownTokens() {
        let known = delivery(1)
        begin(known)
        ledger.release([token(7), token(8)], now: start)
        #expect(ledger.count == 1 && ledger.runningTasks == [batch: [0]])
        let stranger = delivery(7, permit: permit(5))
        let closed = ledger.close([stranger])
        #expect(closed.first?.settlement.owed == [token(7)] && closed.first?.settlement.released == [token(7)])
        #expect(closed.first?.settlement.permits.count == 1)
        #expect(confirm([stranger]).owed == [token(7)])
    }

    @Test("Releasing a running task ends its run")
    mutating func releaseOfARunningTask() {
        let first = delivery(1)
        begin(first)
        ledger.release([token(1)], now: start)
        #expect(ledger.isEmpty && ledger.runningTasks.isEmpty)
    }

    @Test("Tasks withdrawn from a group wait again; those that have a lease keep it")
    mutating func withdrawal() {
        let (plain, leased) = (delivery(1), delivery(2))
        begin(plain, 0)
        begin(leased, 1)
        _ = ledger.offer(lease("l"), to: leased)
        ledger.withdraw([plain, leased])
        #expect(ledger.runningTasks.isEmpty && ledger.waitingCounts == [batch: 2])
        #expect(ledger.unstarted(before: start + .seconds(1)) == [token(1)])
        let isPlainOffered = ledger.offer(lease("m"), to: plain)
        #expect(!isPlainOffered)
        #expect(ledger.completeLease(of: leased)?.owed == [token(2)])
        #expect(ledger.admit(candidate(leased, 1), isStalled: false, isPaused: false) == .begin(isFirst: false))
        let closed = ledger.close([leased])
        #expect(closed.first?.isLeased == true && closed.first?.lease?.id == "l")
        #expect(closed.first?.settlement.owed == [])
    }

    @Test("Cancelling a batch reaches its running attempts only")
    mutating func attempts() {
        let (running, deferred, other) = (delivery(1), delivery(2), delivery(3))
        begin(running, 0)
        begin(deferred, 1)
        ledger.receive([other], now: start)
        let cancelled = Mutex<[Int]>([])
        ledger.begin([running]) { cancelled.withLock { $0.append(0) } }
        ledger.begin([deferred]) { cancelled.withLock { $0.append(1) } }
        ledger.begin([other]) { cancelled.withLock { $0.append(2) } }
        ledger.deferTask(of: deferred)
        #expect(ledger.runningBatches == [batch])
        for cancel in ledger.attempts(of: batch) { cancel() }
        #expect(cancelled.withLock { $0 } == [0])
    }

    // MARK: Leases

    @Test("A task is due for a lease once it, or its redelivery, is old enough")
    mutating func leaseDue() {
        let (running, waiting) = (delivery(1), delivery(2))
        begin(running)
        ledger.receive([waiting], now: start)
        #expect(ledger.leasesDue(before: start).isEmpty)
        #expect(ledger.leasesDue(before: start + .seconds(1)).map(\.task.index) == [0])
        _ = ledger.offer(lease("l"), to: running)
        #expect(ledger.leasesDue(before: start + .seconds(1)).map(\.lease?.id) == ["l"])
        #expect(ledger.leasedCount == 0 && ledger.count(of: QueueKey(batch: batch, generation: 0)) == 2)
        #expect(ledger.completeLease(of: running)?.owed == [token(1)])
        #expect(ledger.leasedCount == 1 && ledger.count(of: QueueKey(batch: batch, generation: 0)) == 1)
        #expect(ledger.leasesDue(before: start + .seconds(1)).isEmpty)
        let again = delivery(1, epoch: 2, permit: permit(5))
        ledger.receive([again], now: start + .seconds(1))
        _ = ledger.admit(candidate(again, 0), isStalled: false, isPaused: false)
        #expect(ledger.leasesDue(before: start + .seconds(2)).map(\.lease?.id) == ["l"])
        let isOffered = ledger.offer(lease("m"), to: running)
        let settlement = ledger.completeLease(of: running)
        #expect(isOffered && settlement?.owed == [token(1, epoch: 2)])
        #expect(settlement?.permits.count == 1 && settlement?.released == [])
        let end = confirm([running])
        #expect(end.owed.isEmpty && end.permits.isEmpty && end.released == [token(1)])
        ledger.release(end.released, now: start)
        #expect(ledger.leasedCount == 0)
    }

    @Test("A task that ends while its lease is being written has no lease, but the lease is reported")
    mutating func leaseOfAnEndingTask() {
        let (retried, finished) = (delivery(1), delivery(2))
        begin(retried, 0)
        begin(finished, 1)
        _ = ledger.offer(lease("l"), to: retried)
        _ = ledger.offer(lease("m"), to: finished)
        let closed = ledger.close([retried])
        _ = confirm([finished])
        #expect(closed.first?.lease?.id == "l" && closed.first?.isLeased == false)
        #expect(ledger.completeLease(of: retried) == nil && ledger.completeLease(of: finished) == nil)
        #expect(ledger.leasedCount == 0)
    }

    @Test("A task that joins a bulk is leased with it, and occupies no slot by itself")
    mutating func bulkLease() {
        let first = delivery(1)
        begin(first)
        let task = BatchTask(flow: "f", batch: batch, index: 0, record: Record(id: "r", kind: .text, bytes: []))
        let lease = TaskLease(of: task, in: "x", worker: "w")
        _ = ledger.offer(lease, to: first)
        let membership = BulkMembership(bulk: "x", worker: "w")
        #expect(ledger.completeLease(of: first, joining: membership)?.owed == [token(1)])
        #expect(ledger.lease(of: first) == lease && ledger.hasLeases && ledger.leasedCount == 0)
        #expect(ledger.leasesDue(before: start + .seconds(1)).isEmpty)
        let end = confirm([first])
        #expect(end.owed.isEmpty && end.released == [token(1)])
        ledger.release(end.released, now: start)
        #expect(ledger.isEmpty && !ledger.hasLeases)
    }

    @Test(
        "A task that is taken over with its bulk is never owed to the broker",
        arguments: [true, false],
        ["l", "x.5"]
    )
    mutating func adoption(succeeds: Bool, id: String) throws {
        let first = delivery(1)
        begin(first)
        let copy = delivery(2)
        begin(copy, 5)
        var taken = lease(id)
        taken.bulk = "x"
        let membership = BulkMembership(bulk: "x", worker: "w")
        let adopted = ledger.adopt(task(5), lease: taken, of: membership, queue: "home", now: start)
        #expect(adopted.queue == first.queue && adopted.token != first.token && adopted.home == "home")
        // Another slot had a copy of it, and its end changes nothing.
        let dropped = PendingSettlement(ledger.close([copy]))
        #expect(dropped.owed == [token(2)])
        ledger.release(dropped.released, now: start)
        #expect(ledger.runningTasks == [batch: [0]] && ledger.runningBulks == [batch: ["x": 1]])
        #expect(ledger.count(of: QueueKey(batch: batch, generation: 0)) == 1)
        let settlement: PendingSettlement
        if succeeds {
            settlement = confirm([adopted])
        } else {
            let closed = ledger.close([adopted])
            #expect(closed.first?.isLeased == true && closed.first?.lease?.id == id)
            settlement = PendingSettlement(closed)
        }
        #expect(settlement.owed.isEmpty && settlement.released == [adopted.token])
        ledger.release(settlement.released, now: start)
        #expect(ledger.runningTasks == [batch: [0]] && !ledger.hasLeases)
    }

    @Test("A later delivery can be separated from a task that another worker has")
    mutating func detaching() {
        let (first, later) = (delivery(1), delivery(2))
        begin(first)
        ledger.receive([later], now: start)
        #expect(ledger.admit(candidate(later, 0), isStalled: false, isPaused: false) == .none)
        #expect(ledger.detach([first]).map(\.token) == [token(2)])
        let settlement = PendingSettlement(ledger.close([first]))
        #expect(settlement.owed == [token(1)])
        ledger.release(settlement.released, now: start)
        #expect(ledger.admit(candidate(later, 0), isStalled: false, isPaused: false) == .begin(isFirst: false))
    }

    @Test("A throttled task keeps its lease and its permit while it waits")
    mutating func throttledTask() {
        let first = delivery(1, permit: permit(5))
        begin(first)
        ledger.deferTask(of: first)
        #expect(ledger.runningTasks.isEmpty && ledger.waitingCounts == [batch: 1])
        #expect(ledger.unstarted(before: start + .seconds(1)).isEmpty)
        #expect(ledger.leasesDue(before: start + .seconds(1)).count == 1)
        #expect(ledger.permitsDue(before: start + .seconds(1)).count == 1)
        _ = ledger.offer(lease("l"), to: first)
        #expect(ledger.completeLease(of: first)?.owed == [token(1)])
        #expect(ledger.admit(candidate(first, 0), isStalled: false, isPaused: false) == .begin(isFirst: false))
        let end = confirm([first])
        #expect(end.owed.isEmpty && end.permits.count == 1)
    }

    // MARK: Permits

    @Test("A permit is taken, renewed, owed and excused")
    mutating func permits() {
        let first = delivery(1, permit: permit(5))
        ledger.receive([first], now: start)
        #expect(ledger.permitsDue(before: start + .seconds(1)).isEmpty, "its task does not run yet")
        begin(first)
        #expect(ledger.permitsDue(before: start).isEmpty)
        #expect(ledger.permitsDue(before: start + .seconds(1)).map(\.token) == [token(1)])
        #expect(ledger.takePermit(of: first)?.token == permit(5).token)
        #expect(ledger.takePermit(of: first) == nil)
        #expect(ledger.permitsDue(before: start).map(\.token) == [token(1)], "one is owed to it")
        let isGiven = ledger.givePermit(permit(6), to: first, now: start + .seconds(1))
        #expect(isGiven && ledger.permitsDue(before: start + .seconds(1)).isEmpty)
        #expect(ledger.takePermit(of: first)?.token == permit(6).token)
        ledger.excuse(first)
        #expect(ledger.permitsDue(before: start + .seconds(9)).isEmpty)
        #expect(confirm([first]).permits.isEmpty)
    }

    @Test("A task whose permit is owed settles none")
    mutating func owedPermit() {
        let first = delivery(1, permit: permit(5))
        begin(first)
        _ = ledger.takePermit(of: first)
        let settlement = confirm([first])
        #expect(settlement.permits.isEmpty && settlement.owed == [token(1)])
        let isGiven = ledger.givePermit(permit(6), to: first, now: start)
        #expect(!isGiven, "the task has ended, and the permit goes back")
    }

    // MARK: Indexes

    @Test("The indexes equal a walk over what is held, after any transitions", arguments: 0..<50)
    mutating func indexes(seed: Int) {
        var random = SeededGenerator(state: UInt64(seed))
        var tag: UInt64 = 0
        for _ in 0..<400 {
            let held = ledger.held.values.map(\.delivery).sorted { $0.token.tag < $1.token.tag }
            let some = held.filter { _ in random.next() % 4 == 0 }
            switch random.next() % 12 {
            case 0...2:
                ledger.receive((0..<random.next() % 5).map { _ in someDelivery(&tag, &random) }, now: start)
            case 3, 4: admit(some)
            case 5: for delivery in some { ledger.deferTask(of: delivery) }
            case 6: ledger.withdraw(some)
            case 7: _ = ledger.close(some)
            case 8:
                var settlement = PendingSettlement()
                ledger.confirm(some, of: batch, adding: &settlement)
                if random.next() % 2 == 0 { ledger.release(settlement.released, now: start) }
            case 9:
                for delivery in some {
                    var membership: BulkMembership?
                    if random.next() % 2 == 0 {
                        membership = BulkMembership(bulk: "x\(random.next() % 3)", worker: "w")
                    }
                    if ledger.offer(lease("l\(delivery.token.tag)"), to: delivery) {
                        _ = ledger.completeLease(of: delivery, joining: membership)
                    }
                }
            case 10:
                if random.next() % 2 == 0 {
                    tag += 1
                    let task = task(1000 + Int(tag))
                    _ = ledger.adopt(
                        task,
                        lease: TaskLease(of: task, in: "x0", worker: "w"),
                        of: BulkMembership(bulk: "x0", worker: "w"),
                        queue: "home",
                        now: start
                    )
                }
            default:
                _ = ledger.detach(some)
                _ = ledger.lose(some.filter { ledger.held[$0.token]?.attempt == nil }, now: start)
            }
            expectIndexesToMatch()
        }
    }

    private func someDelivery(_ tag: inout UInt64, _ random: inout SeededGenerator) -> TaskDelivery {
        tag += 1
        let delivery = Delivery(message: Message(), queue: "q", earlierDeliveries: 0, token: token(tag))
        let generation = Int(random.next() % 3)
        return TaskDelivery(delivery, from: generation == 2 ? nil : QueueKey(batch: batch, generation: generation))
    }

    /// Lets tasks begin; two deliveries with the same index are of the same task.
    private mutating func admit(_ deliveries: [TaskDelivery]) {
        for delivery in deliveries {
            _ = ledger.admit(candidate(delivery, Int(delivery.token.tag % 40)), isStalled: false, isPaused: false)
        }
    }

    private func expectIndexesToMatch() {
        let entries = ledger.held.values
        let queues = Set(entries.compactMap(\.delivery.queue))
        #expect(ledger.queues == queues)
        for queue in queues {
            #expect(ledger.count(of: queue) == entries.count { $0.delivery.queue == queue && !$0.isLeased })
        }
        var (single, bulks): (Set<Int>, [String: Set<Int>]) = ([], [:])
        for entry in entries {
            guard case .running(let attempt) = entry.state else { continue }
            if let bulk = attempt.lease.bulk {
                bulks[bulk, default: []].insert(attempt.task.index)
            } else {
                single.insert(attempt.task.index)
            }
        }
        #expect(ledger.runningTasks[batch] ?? [] == single.sorted())
        #expect(ledger.runningBulks[batch] ?? [:] == bulks.mapValues(\.count))
        let running = single.count + bulks.values.reduce(0) { $0 + $1.count }
        let waiting = entries.count { $0.delivery.batch == batch } - running
        #expect(ledger.waitingCounts[batch] ?? 0 == max(0, waiting))
    }
}
