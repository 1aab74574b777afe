import SheafCore
import Testing

@Suite("Retried tasks") struct ReopeningTests {
    static func reopening(_ generation: Int, _ count: Int) -> BatchInfo.Reopening {
        BatchInfo.Reopening(generation: generation, nonce: "n\(generation)", count: count)
    }

    /// Returns the events of a batch with two retries; events of the results log keep their order.
    static func history(_ generator: inout Seeded) -> (results: [ResultEvent], retries: [BatchInfo.Reopening]) {
        let total = Int.random(in: 1...120, using: &generator)
        var results: [ResultEvent] = []
        var open = Set(0..<total)
        var retries: [BatchInfo.Reopening] = []
        for generation in 0...2 {
            if generation > 0 {
                let again = (0..<total).filter { !open.contains($0) && Bool.random(using: &generator) }
                let tasks = IndexRanges(rising: again)
                results.append(.reopened(generation: generation, nonce: "n\(generation)", tasks: tasks))
                results.append(
                    .reopened(generation: generation, nonce: "given up", tasks: IndexRanges(rising: 0..<total))
                )
                retries.append(reopening(generation, again.count))
                open = Set(again)
            }
            for index in open.sorted() where Bool.random(using: &generator) {
                let status: Outcome.Status = Bool.random(using: &generator) ? .succeeded : .failed
                results.append(
                    .outcomes([OutcomeSummary(index: index, generation: generation, status: status)], unreadable: 0)
                )
            }
        }
        return (results, retries)
    }

    @Test("The journal and the results log may be read in any order", arguments: 0..<200)
    func logsMayBeReadInAnyOrder(seed: UInt64) {
        var generator = Seeded(state: seed)
        let (results, retries) = Self.history(&generator)
        var ahead = BatchState()
        for retry in retries { ahead.applyCommitted(retry) }
        for event in results { ahead.apply(event) }
        var behind = BatchState()
        for event in results { behind.apply(event) }
        for retry in retries { behind.applyCommitted(retry) }
        #expect(ahead.settled == behind.settled)
        #expect(ahead.hasReopened(retries) && behind.hasReopened(retries))
        var mixed = BatchState()
        var left = retries[...]
        for event in results + results {
            if Bool.random(using: &generator), let retry = left.popFirst() { mixed.applyCommitted(retry) }
            mixed.apply(event)
        }
        for retry in left { mixed.applyCommitted(retry) }
        #expect(mixed.settled == ahead.settled)
    }

    @Test("A retry that was never finished changes nothing") func aRetryThatWasNeverFinishedChangesNothing() {
        var state = BatchState()
        state.applySealed(total: 3)
        for index in 0..<3 { state.apply(OutcomeSummary(index: index, status: .failed)) }
        let before = state.settled
        state.applyReopened(generation: 1, nonce: "crashed", tasks: IndexRanges(rising: 0..<3))
        #expect(state.settled == before)
        state.applyReopened(generation: 1, nonce: "repeated", tasks: IndexRanges(rising: [1]))
        let retry = BatchInfo.Reopening(generation: 1, nonce: "repeated", count: 1)
        #expect(state.hasReopened([retry]))
        state.applyCommitted(retry)
        #expect(state.settled == BatchState.Settled(failed: 2))
        state.applyReopened(generation: 1, nonce: "crashed", tasks: IndexRanges(rising: 0..<3))
        #expect(state.settled == BatchState.Settled(failed: 2))
    }

    @Test("A retry is complete only after all its entries in the results log are read") func incompleteRetries() {
        var state = BatchState()
        state.applySealed(total: 5)
        let retry = Self.reopening(1, 2)
        state.applyCommitted(retry)
        #expect(!state.hasReopened([retry]))
        state.applyReopened(generation: 1, nonce: "n1", tasks: IndexRanges(rising: [3]))
        #expect(!state.hasReopened([retry]))
        state.applyReopened(generation: 1, nonce: "n1", tasks: IndexRanges(rising: [4]))
        #expect(state.hasReopened([retry]))
    }

    @Test("A lease ends with the outcome or the return of its task") func aLeaseEndsWithItsTask() {
        var state = BatchState()
        let lease = TaskLease(id: "l", index: 4, generation: 0, worker: "w")
        state.applyLeased(lease)
        #expect(state.leases[4] == lease)
        state.apply(OutcomeSummary(index: 4, status: .succeeded))
        #expect(state.leases.isEmpty)
        state.applyLeased(lease)
        #expect(state.leases.isEmpty)
        state.applyLeased(TaskLease(id: "m", index: 5, generation: 0, worker: "w"))
        state.applyReturned(lease: "other")
        #expect(state.leases.count == 1)
        state.applyReturned(lease: "m")
        #expect(state.leases.isEmpty)
    }

    @Test("A lease of a later generation is kept until the journal opens that generation") func earlyLeasesAreKept() {
        var state = BatchState()
        state.apply(OutcomeSummary(index: 4, status: .failed))
        state.applyReopened(generation: 1, nonce: "n1", tasks: IndexRanges(rising: [4]))
        let lease = TaskLease(id: "l", index: 4, generation: 1, worker: "w")
        state.applyLeased(lease)
        state.applyCommitted(Self.reopening(1, 1))
        #expect(state.leases[4] == lease)
        state.apply(OutcomeSummary(index: 4, generation: 1, status: .failed))
        #expect(state.leases.isEmpty)
    }
}

extension BatchState {
    /// Opens tasks again, like a finished retry.
    mutating func reopen(_ tasks: String, generation: Int) {
        let tasks = IndexRanges(tasks) ?? IndexRanges()
        applyReopened(generation: generation, nonce: "n", tasks: tasks)
        applyCommitted(BatchInfo.Reopening(generation: generation, nonce: "n", count: tasks.count))
    }
}
