import SheafBroker
import SheafCore
import SheafTestSupport
import Testing

@testable import SheafBatches
@testable import SheafWorker

@Suite struct PartsTests {
    @Test("Slow tasks are not fetched ahead", arguments: [1, 5, 64])
    func slowTasksAreNotFetchedAhead(slots: Int) {
        for seconds in [0.2, 1, 60] {
            let plan = PrefetchController(slots: slots, rate: Double(slots) / seconds)
            #expect(plan.lead == 0, "tasks of \(seconds) s")
            #expect(plan.prefetch(isBusy: true, busyCount: 1) == slots)
        }
    }

    @Test("Fast tasks are fetched ahead within bounds")
    func fastTasksAreFetchedAheadWithinBounds() {
        #expect(PrefetchController(slots: 5, rate: 1_000).lead == 50)
        #expect(PrefetchController(slots: 5, rate: 2_000).lead == 200)
        #expect(PrefetchController(slots: 5, rate: 10_000).lead == 2_000)
        #expect(PrefetchController(slots: 5, rate: 1_000_000).lead == PrefetchController.maximumLead)
    }

    @Test("Tasks that end together raise the prefetch step by step only", arguments: [1, 5, 64])
    func tasksThatEndTogetherRaiseThePrefetchSlowly(slots: Int) {
        var plan = PrefetchController(slots: slots)
        #expect(!plan.areEnough(max(15, slots)))
        // As fast as that they may well be, but it is not believed at once.
        var leads = [0]
        for _ in 0..<10 {
            let isMore = plan.noteEarly(ended: 100 * slots, in: WorkerTiming().earlyLook)
            #expect(isMore == plan.isWorthRaising(from: slots + leads[leads.count - 1], to: slots + plan.lead))
            leads.append(plan.lead)
        }
        #expect(leads.last == min(PrefetchController.maximumLead, 2_000 * slots))
        for (old, new) in zip(leads, leads.dropFirst()) where old > 0 {
            #expect(!plan.isWorthLowering(from: slots + new, to: slots + old), "\(leads)")
        }
        // Early looks never say that it is less; that shows in the longer run.
        let isMore = plan.noteEarly(ended: max(16, 4 * slots), in: .seconds(1))
        #expect(!isMore)
        #expect(plan.lead == leads.last)
        for _ in 0..<20 { plan.note(ended: slots, in: .seconds(1)) }
        #expect(plan.lead == 0)
    }

    @Test("A consumer is added only if it brings much more")
    func aConsumerIsAddedOnlyIfWorthIt() {
        let plan = PrefetchController(slots: 8)
        let table: [(old: Int, new: Int, isWorth: Bool)] = [
            (0, 1, true), (1, 2, true), (3, 5, false), (4, 8, true), (7, 8, true), (100, 199, false), (100, 200, true),
            (2_000, 2_999, false), (2_000, 3_000, true), (8, 8, false), (8, 4, false),
        ]
        for row in table {
            #expect(plan.isWorthRaising(from: row.old, to: row.new) == row.isWorth, "\(row.old) to \(row.new)")
        }
    }

    @Test("A prefetch is lowered by ending as few consumers as possible")
    func fewConsumersAreEnded() throws {
        let key = QueueKey(batch: Name("b"), generation: 0)
        func ended(_ prefetches: [Int], keeping count: Int) -> [Int] {
            var subscription = QueueSubscription(now: .now)
            for (number, prefetch) in prefetches.enumerated() {
                let consumer = QueueSubscription.Consumer(
                    queue: key,
                    consumer: NoConsumer(),
                    prefetch: prefetch,
                    number: number
                )
                _ = subscription.add(consumer, now: .now)
            }
            return subscription.removeSurplus(beyond: count).map(\.prefetch).sorted()
        }
        #expect(ended([1, 15, 100, 900], keeping: 100) == [900])
        #expect(ended([1, 15, 100, 900], keeping: 117) == [1, 15, 100, 900], "another follows that brings less")
        #expect(ended([1, 15, 100, 900], keeping: 1) == [15, 100, 900])
        #expect(ended([8, 56], keeping: 8) == [56])
        #expect(ended([64], keeping: 8) == [64])
        #expect(ended([64], keeping: 32).isEmpty)
    }

    @Test("A creator that is gone briefly is still expected")
    func aCreatorThatIsGoneBrieflyIsStillExpected() throws {
        let batch = Name("b")
        let start = ContinuousClock.now
        var interruptions = LastingInterruptions()
        func note(_ isInterrupted: Bool, after delay: Duration) -> Bool {
            interruptions.note(batch, isInterrupted: isInterrupted, at: start + delay)
        }
        let patience = LastingInterruptions.patience
        let seen = [
            note(true, after: .zero), note(true, after: patience / 2), note(false, after: patience * 0.9),
            note(true, after: patience), note(true, after: patience * 1.9), note(true, after: patience * 2),
        ]
        #expect(seen == [false, false, false, false, false, true])
    }

    @Test("Busy batches share the slots", arguments: 1...8)
    func batchesShareTheSlots(busyCount: Int) {
        let plan = PrefetchController(slots: 5)
        let share = plan.prefetch(isBusy: true, busyCount: busyCount)
        #expect(share >= 1)
        #expect(share * busyCount >= 5)
        #expect(share * busyCount < 5 + busyCount)
        #expect(plan.prefetch(isBusy: false, busyCount: busyCount) == 1)
    }

    @Test("The confirmed position counts tasks confirmed without a gap", arguments: 0..<100)
    func whatIsConfirmedWithoutAGapIsCounted(seed: Int) {
        var position = ConfirmedPosition()
        var windows = (0..<40).map { _ in position.open(count: Int.random(in: 1...9)) }
        let total = windows.reduce(0) { $0 + $1.count }
        windows.shuffle()
        var closed: Set<Int> = []
        for window in windows {
            position.close(window)
            closed.formUnion(window.start..<window.start + window.count)
            let gap = (0...total).first { !closed.contains($0) } ?? total
            #expect(position.confirmed == gap)
        }
        #expect(position.confirmed == total)
    }

    private func item(_ tag: UInt64, _ batch: Name?, _ limit: RateLimitKey? = nil) -> TaskDelivery {
        let token = Delivery.Token(epoch: 1, channel: 1, tag: tag)
        let delivery = Delivery(message: Message(), queue: "q", earlierDeliveries: 0, token: token)
        return TaskDelivery(delivery, from: batch.map { QueueKey(batch: $0, generation: 0) }, limit: limit)
    }

    @Test("The inbox hands out batches in turn")
    func theInboxGivesOutBatchesInTurn() async throws {
        let (first, second) = (Name("a"), Name("b"))
        let inbox = TaskInbox()
        inbox.put((0..<4).map { item($0, first) })
        inbox.put((10..<12).map { item($0, second) })
        var tags: [UInt64] = []
        for _ in 0..<6 { tags.append(try #require(await inbox.next()).token.tag) }
        #expect(tags == [0, 10, 1, 11, 2, 3])
        inbox.close()
        let end = await inbox.next()
        #expect(end == nil)
    }

    @Test("Draining a batch leaves the others in the inbox")
    func theInboxDrainsOneBatchOnly() async throws {
        let (first, second) = (Name("a"), Name("b"))
        let inbox = TaskInbox()
        inbox.put([item(0, first), item(1, second), item(2, first)])
        #expect(inbox.drain(first).map(\.token.tag) == [0, 2])
        let next = await inbox.next()
        #expect(next?.token.tag == 1)
        #expect(inbox.drainAll().isEmpty)
    }

    @Test("A slot takes more tasks of its batch if no other slot or batch waits")
    func aSlotTakesMoreOfItsBatch() async throws {
        let (first, second) = (Name("a"), Name("b"))
        let key = RateLimitKey.flow(first)
        func more(_ inbox: TaskInbox, _ count: Int, bytes: Int = 1_000, onlyBatch: Bool = false) -> [UInt64] {
            inbox.takeMore(of: first, atMost: count, bytes: bytes, onlyBatch: onlyBatch).map(\.token.tag)
        }
        let inbox = TaskInbox()
        inbox.put([
            item(0, first), item(1, second), item(2, first), item(3, first), item(4, first, key), item(5, first),
        ])
        #expect(more(inbox, 2) == [0, 2])
        #expect(more(inbox, 9, onlyBatch: true).isEmpty, "the other batch has its turn")
        inbox.close(key)
        #expect(more(inbox, 9) == [3], "the next one waits for its limit")
        inbox.open(key)
        #expect(more(inbox, 9, bytes: -1).isEmpty)
        #expect(more(inbox, 9) == [4, 5])
        let left = await inbox.next()
        #expect(left?.token.tag == 1)
        inbox.put([item(6, first)])
        #expect(more(inbox, 9, onlyBatch: true) == [6])
    }

    @Test("Tasks are demanded only for free slots")
    func aDemandIsMadeForAFreeSlotOnly() async throws {
        let inbox = TaskInbox()
        async let slot = inbox.next()
        let isDemanded = await inbox.demand()
        #expect(isDemanded)
        async let again = inbox.demand()
        inbox.put([item(7, nil)], fulfilling: 1)
        let taken = await slot
        #expect(taken?.token.tag == 7)
        inbox.close()
        let isDemandedAgain = await again
        #expect(!isDemandedAgain, "no slot has waited since")
    }

    @Test("The last tasks are remembered, up to a limit")
    func theLastTasksAreRemembered() throws {
        let batch = Name("b")
        func task(_ index: Int, generation: Int = 0) -> BatchTask {
            BatchTask(
                flow: batch,
                batch: batch,
                index: index,
                generation: generation,
                record: Record(id: "r", kind: .json, bytes: [])
            )
        }
        var recent = RecentTasks()
        for index in 0..<RecentTasks.capacity + 10 {
            recent.insert(TaskKey(task(index)))
            recent.insert(TaskKey(task(index)))
        }
        #expect(!recent.contains(TaskKey(task(9))))
        #expect(recent.contains(TaskKey(task(10))) && recent.contains(TaskKey(task(RecentTasks.capacity + 9))))
        #expect(!recent.contains(TaskKey(task(10, generation: 1))))
    }

    @Test("A worker without heartbeats is forgotten")
    func aSilentWorkerIsForgotten() throws {
        let batch = Name("b")
        var board = LiveWorkers()
        let start = ContinuousClock.now
        board.apply(Heartbeat(worker: "w1", running: [batch: [1, 2]]).message, now: start)
        board.apply(Heartbeat(worker: "w2", running: [batch: [2, 3]]).message, now: start + .seconds(2))
        #expect(board.running(batch, now: start + .seconds(2)) == 3)
        #expect(board.running(batch, now: start + .seconds(4)) == 2)
        // A bulk that changes hands is counted once.
        let bulk = Heartbeat(worker: "w3", running: [:], bulks: [batch: ["x": 40]])
        let next = Heartbeat(worker: "w4", running: [batch: [2]], bulks: [batch: ["x": 38, "y": 2]])
        for heartbeat in [bulk, next] { board.apply(heartbeat.message, now: start) }
        #expect(board.running(batch, now: start) == 45 && board.isHeld(batch, now: start))
        for worker in ["w3", "w4"] { board.apply(Heartbeat(worker: worker, running: [:]).message, now: start) }
        board.apply(Heartbeat(worker: "w2", running: [:]).message, now: start + .seconds(4))
        #expect(board.running(batch, now: start + .seconds(4)) == 0)
    }

    @Test("A log chunk that is applied twice counts once")
    func aChunkAppliedTwiceCountsOnce() throws {
        let batch = Name("b")
        var lines: [UInt8] = []
        let moment = Timestamp(milliseconds: 0)
        Outcome(
            index: 0,
            status: .succeeded,
            recordID: "r",
            output: Array("1".utf8),
            startedAt: moment,
            finishedAt: moment,
            worker: "w"
        ).writeLine(to: &lines)
        let entry = LogEntry(offset: 4, message: ResultMessage.outcomes(batch: batch, lines: lines))
        let chunk = LogChunk(entries: [entry], nextOffset: 5)
        var fold = BatchFold(batch: batch)
        fold.apply(chunk)
        fold.apply(chunk)
        #expect(fold.state.settled == BatchState.Settled(succeeded: 1))
        #expect(fold.nextOffset == 5)
    }

    @Test(
        "A broker reference never shows its password",
        arguments: [
            ("amqp://user:secret@host:5672/%2f", "amqp://user@host:5672/%2f"),
            ("amqps://user:p@ss@host/v", "amqps://user@host/v"), ("/data/.sheaf", "embedded:/data/.sheaf"),
        ]
    )
    func aReferenceNeverShowsItsPassword(text: String, shown: String) {
        let reference = BrokerReference(text)
        #expect("\(reference)" == shown)
        var dumped = ""
        dump(reference, to: &dumped)
        #expect(!dumped.contains("secret") && !dumped.contains("p@ss"))
    }
}

/// A consumer that brings nothing.
private struct NoConsumer: QueueConsumer {
    func next() async throws -> [Delivery]? { nil }
    func cancel() async throws -> [Delivery] { [] }
}
