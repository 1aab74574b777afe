import SheafCore
import Testing

@Suite("Bulks in the results log") struct BulksTests {
    private func task(_ index: Int) -> BatchTask {
        BatchTask(flow: "f", batch: "b", index: index, record: Record(id: "r", kind: .text, bytes: []))
    }

    private func lease(_ index: Int, in bulk: String, worker: String = "w1", after predecessor: String? = nil)
        -> ResultEvent
    {
        var lease = TaskLease(of: task(index), in: bulk, worker: worker)
        lease.predecessor = predecessor
        return .leased(lease)
    }

    private func bulk(_ turn: Int, _ action: BulkEvent.Action, of id: String = "x") -> ResultEvent {
        .bulk(BulkEvent(bulk: id, turn: turn, action))
    }

    /// Folds events, which are at the offsets 1, 2 and so on.
    private func fold(_ events: [ResultEvent]) -> BatchState {
        var state = BatchState()
        for (offset, event) in events.enumerated() { state.apply(event, at: Int64(offset + 1)) }
        return state
    }

    @Test("A bulk has the tasks that are leased to it and have no outcome")
    func tasks() {
        let done = ResultEvent.outcomes([OutcomeSummary(index: 1, status: .succeeded)], unreadable: 0)
        var state = fold([lease(0, in: "x"), lease(1, in: "x"), lease(2, in: "y"), done])
        #expect(state.bulks["x"]?.tasks == [0] && state.bulks["y"]?.tasks == [2])
        #expect(state.bulks["x"]?.worker == "w1" && state.bulks["x"]?.memo == nil)
        state.apply(.returned(lease: "x.0"))
        #expect(state.bulks["x"] == nil && state.leases.count == 1)
    }

    @Test("The leases by worker equal a walk over all leases, after any entries", arguments: 0..<50)
    func leasesByWorker(seed: Int) {
        var random = Seeded(state: UInt64(seed))
        var state = BatchState()
        for offset in 1...300 {
            let (index, id, worker) = (Int(random.next() % 30), "x\(random.next() % 4)", "w\(random.next() % 4)")
            let turn = Int(random.next() % 3)
            let single = TaskLease(id: "l\(offset)", index: index, generation: turn % 2, worker: worker)
            let events: [ResultEvent] = [
                lease(index, in: id, worker: worker), .leased(single), .leased(single), bulk(0, .remembered, of: id),
                bulk(turn, .offered, of: id), bulk(turn, .adopted(worker: worker), of: id),
                .returned(lease: random.next() % 2 == 0 ? "\(id).\(index)" : state.leases[index]?.id ?? ""),
                .outcomes([OutcomeSummary(index: index, generation: turn % 2, status: .failed)], unreadable: 0),
                .reopened(generation: 1, nonce: "n", tasks: IndexRanges(rising: [index])),
            ]
            state.apply(events[Int(random.next() % UInt64(events.count))], at: Int64(offset))
            if offset == 200 { state.applyCommitted(.init(generation: 1, nonce: "n", count: 1)) }
            if offset % 50 == 0, let saved = BatchState(snapshot: state.snapshot) {
                #expect(saved == state)
                state = saved
            }
            let holders = state.leases.values.compactMap { $0.bulk.map { state.bulks[$0]?.worker } ?? $0.worker }
            #expect(state.leaseholders == Set(holders))
            for worker in ["w0", "w1", "w2", "w3"] {
                let walked = state.leases.values.filter { lease in
                    guard lease.generation == state.generation(of: lease.index) else { return false }
                    guard let bulk = lease.bulk.flatMap({ state.bulks[$0] }) else { return lease.worker == worker }
                    return bulk.memo == nil && bulk.worker == worker
                }
                #expect(Set(state.leases(of: worker).map(\.id)) == Set(walked.map(\.id)))
            }
        }
    }

    @Test("A bulk changes hands in turns")
    func turns() {
        let rows: [(events: [ResultEvent], turn: Int, worker: String?, memo: Int64?)] = [
            ([bulk(0, .remembered)], 0, "w1", 2),
            ([bulk(0, .remembered), bulk(0, .remembered)], 0, "w1", 3),
            ([bulk(0, .remembered), bulk(1, .offered)], 1, nil, 2),
            ([bulk(1, .offered), bulk(1, .offered)], 1, nil, nil),
            ([bulk(1, .offered), bulk(0, .remembered)], 1, nil, nil),
            ([bulk(1, .offered), bulk(1, .adopted(worker: "w2"))], 1, "w2", nil),
            ([bulk(1, .offered), bulk(1, .adopted(worker: "w2")), bulk(1, .adopted(worker: "w3"))], 1, "w2", nil),
            ([bulk(1, .adopted(worker: "w2")), bulk(1, .offered)], 1, "w2", nil),
            ([bulk(1, .adopted(worker: "w2")), bulk(0, .remembered)], 1, "w2", nil),
            ([bulk(1, .adopted(worker: "w2")), bulk(1, .remembered)], 1, "w2", 3),
            ([bulk(0, .adopted(worker: "w2"))], 0, "w1", nil),
            ([bulk(BatchState.maximumTasks - 1, .offered)], 0, "w1", nil),
            ([bulk(2, .adopted(worker: "w2"))], 0, "w1", nil),
            ([bulk(1, .offered, of: "y"), lease(0, in: "x")], 0, "w1", nil),
        ]
        for row in rows {
            let found = fold([lease(0, in: "x")] + row.events).bulks["x"]
            #expect(found?.turn == row.turn && found?.worker == row.worker && found?.memo == row.memo, "\(row.events)")
        }
    }

    @Test("A task stays in its bulk unless the next lease follows from its return")
    func copies() {
        #expect(fold([lease(0, in: "x"), lease(0, in: "y")]).leases[0]?.bulk == "x")
        #expect(fold([lease(0, in: "x"), lease(0, in: "y", after: "z.0")]).leases[0]?.bulk == "x")
        let moved = fold([lease(0, in: "x"), lease(0, in: "y", worker: "w2", after: "x.0"), .returned(lease: "x.0")])
        #expect(moved.leases[0]?.bulk == "y" && moved.bulks["x"] == nil && moved.bulks["y"]?.worker == "w2")
        let returned = fold([lease(0, in: "x"), .returned(lease: "x.0"), lease(0, in: "y")])
        #expect(returned.leases[0]?.bulk == "y")
        let repeated = fold([lease(0, in: "x"), bulk(0, .remembered), lease(0, in: "x")])
        #expect(repeated.bulks["x"]?.memo == 2)
    }

    @Test("A snapshot of a large bulk stays small")
    func largeSnapshot() {
        let state = fold((0..<20_000).map { lease($0, in: "0123456789abcdefghijklmnop") })
        let snapshot = state.snapshot
        #expect(snapshot.count < 20_000 * 16)
        #expect(BatchState(snapshot: snapshot) == state)
    }

    @Test("Messages about bulks are decoded as they were encoded")
    func messages() throws {
        for action in [BulkEvent.Action.remembered, .offered, .adopted(worker: "w2")] {
            let event = BulkEvent(bulk: "x", turn: 3, action)
            let message = event.message(of: "b", memo: [1, 2])
            #expect(ResultEvent(message) == .bulk(event))
            #expect(message.body == (action == .remembered ? [1, 2] : []))
            var torn = message
            torn.headers.removeAll { $0.name == "sheaf-turn" }
            #expect(ResultEvent(torn) == .unknown)
        }
        let handOver = BulkHandOver(bulk: "x", turn: 2)
        let message = handOver.message(of: task(4))
        #expect(BulkHandOver(message) == handOver && BulkHandOver(task(4).message) == nil)
        #expect(try BatchTask(message) == task(4))
        guard case .leased(let lease) = lease(4, in: "x", after: "y.4") else { return }
        #expect(TaskLease(lease.message(of: task(4))) == lease)
        #expect(TaskLease.task(of: lease.message(of: task(4))) == task(4))
        let back = TaskLease.returning(TaskLease.returning(task(4).message, from: "y.4"), from: "x.4")
        #expect(TaskLease.predecessor(of: back) == "x.4")
        #expect(BulkHandOver(TaskLease.returning(message, from: "x.4")) == nil)
        #expect(TaskLease.returning(task(4).message, from: nil) == task(4).message)
    }
}
