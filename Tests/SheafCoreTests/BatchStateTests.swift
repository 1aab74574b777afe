import SheafCore
import Testing

/// A random number generator with a seed, so that a failing case can be reproduced.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {  // SplitMix64
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

@Suite("Batch state") struct BatchStateTests {
    /// An event of a batch as a value, so that histories can be shuffled and repeated.
    enum Event {
        case started(Int64)
        case published(Int)
        case sealed(Int)
        case outcome(OutcomeSummary)

        func apply(to state: inout BatchState) {
            switch self {
            case .started(let time): state.applyStarted(at: Timestamp(milliseconds: time))
            case .published(let count): state.applyPublished(count)
            case .sealed(let total): state.applySealed(total: total)
            case .outcome(let outcome): state.apply(outcome)
            }
        }
    }

    /// Returns a history without conflicts: each task has at most one outcome, and there is one total.
    static func history(_ generator: inout Seeded) -> (events: [Event], total: Int) {
        let total = Int.random(in: 0...300, using: &generator)
        var events: [Event] = [.sealed(total)]
        for count in stride(from: 0, through: total, by: 50) { events.append(.published(count)) }
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            events.append(.started(Int64.random(in: 0...1_000_000, using: &generator)))
        }
        for index in 0..<total + 20 where Bool.random(using: &generator) {
            let status = Outcome.Status.allCases.randomElement(using: &generator) ?? .failed
            let isInvalid = status == .failed && Bool.random(using: &generator)
            events.append(.outcome(OutcomeSummary(index: index, status: status, isInvalidRecord: isInvalid)))
        }
        return (events, total)
    }

    static func fold(_ events: [Event]) -> BatchState {
        events.reduce(into: BatchState()) { $1.apply(to: &$0) }
    }

    @Test("Order and repetition of events do not change the state", arguments: 0..<200)
    func orderAndRepetitionChangeNothing(seed: UInt64) {
        var generator = Seeded(state: seed)
        let (events, _) = Self.history(&generator)
        let once = Self.fold(events.shuffled(using: &generator))
        let twice = Self.fold((events + events).shuffled(using: &generator))
        #expect(once == twice)
        #expect(once.settled == twice.settled)
        #expect(once == Self.fold(events + events.reversed()))
    }

    @Test("The counts always add up to the total", arguments: 0..<200)
    func countsAddUpToTheTotalAtEveryMoment(seed: UInt64) throws {
        var generator = Seeded(state: seed &+ 10_000)
        let (events, total) = Self.history(&generator)
        let batch = Name("b")
        var state = BatchState()
        for event in events.shuffled(using: &generator) {
            event.apply(to: &state)
            let running = Int.random(in: 0...10, using: &generator)
            for isCancelled in [false, true] {
                let progress = BatchProgress(batch: batch, state: state, running: running, offset: 0)
                let counts = BatchCounts(
                    total: progress.total,
                    settled: progress.settled,
                    running: progress.running,
                    isCancelled: isCancelled
                )
                #expect(counts.total == progress.total)
                #expect(
                    [counts.pending, counts.running, counts.succeeded, counts.failed, counts.cancelled].min() ?? 0 >= 0
                )
            }
        }
        #expect(BatchProgress(batch: batch, state: state, running: 0, offset: 0).total == total)
    }

    @Test("The settled tasks are those that have an outcome", arguments: 0..<200)
    func settledTasksAreThoseWithAnOutcome(seed: UInt64) {
        var generator = Seeded(state: seed &+ 20_000)
        let (events, total) = Self.history(&generator)
        var expected = BatchState.Settled()
        for case .outcome(let outcome) in events where outcome.index < total {
            if outcome.status == .succeeded { expected.succeeded += 1 }
            if outcome.status == .failed { expected.failed += 1 }
            if outcome.isInvalidRecord { expected.invalid += 1 }
        }
        #expect(Self.fold(events).settled == expected)
    }

    @Test("The first of two conflicting outcomes counts") func ofConflictingOutcomesTheFirstStands() {
        var state = BatchState()
        let counts1 = state.apply(OutcomeSummary(index: 4, status: .failed))
        #expect(counts1)
        let counts2 = state.apply(OutcomeSummary(index: 4, status: .succeeded))
        #expect(!counts2)
        #expect(state.settled == BatchState.Settled(succeeded: 0, failed: 1))
    }

    @Test("The first of two conflicting totals counts") func ofConflictingTotalsTheFirstStands() {
        var state = BatchState()
        state.applySealed(total: 5)
        state.applySealed(total: 9)
        #expect(state.sealedTotal == 5)
        let counts3 = state.apply(OutcomeSummary(index: 5, status: .succeeded))
        #expect(!counts3)
    }

    @Test("A cancelled task stays open") func aCancelledTaskStaysOpen() {
        var state = BatchState()
        let counts4 = state.apply(OutcomeSummary(index: 0, status: .cancelled))
        #expect(!counts4)
        #expect(!state.isSettled(0))
        let counts5 = state.apply(OutcomeSummary(index: 0, status: .succeeded))
        #expect(counts5)
    }

    @Test("Outcomes with impossible indices are ignored") func foreignIndicesAreLeftOut() {
        var state = BatchState()
        let counts6 = state.apply(OutcomeSummary(index: -1, status: .succeeded))
        #expect(!counts6)
        let counts7 = state.apply(OutcomeSummary(index: Int.max, status: .succeeded))
        #expect(!counts7)
        let counts8 = state.apply(OutcomeSummary(index: BatchState.maximumTasks, status: .succeeded))
        #expect(!counts8)
        #expect(state.settled.count == 0)
    }

    @Test("An outcome counts only for the generation in which its task is open") func outcomesCountForTheirGeneration()
    {
        var state = BatchState()
        state.applySealed(total: 3)
        state.apply(OutcomeSummary(index: 1, generation: 0, status: .failed))
        state.reopen("1", generation: 1)
        #expect(!state.isSettled(1))
        let counts9 = state.apply(OutcomeSummary(index: 1, generation: 0, status: .failed))
        #expect(!counts9)
        let counts10 = state.apply(OutcomeSummary(index: 1, generation: 1, status: .succeeded))
        #expect(counts10)
        state.reopen("1", generation: 1)  // repeated
        #expect(state.isSettled(1))
        #expect(state.settled == BatchState.Settled(succeeded: 1))
    }

    @Test("An outcome of a later generation counts once that generation is opened") func earlyOutcomesWait() {
        var early = BatchState()
        early.apply(OutcomeSummary(index: 2, generation: 1, status: .succeeded))
        #expect(!early.isSettled(2))
        early.apply(OutcomeSummary(index: 2, generation: 0, status: .failed))
        early.reopen("2", generation: 1)

        var inOrder = BatchState()
        inOrder.apply(OutcomeSummary(index: 2, generation: 0, status: .failed))
        inOrder.reopen("2", generation: 1)
        inOrder.apply(OutcomeSummary(index: 2, generation: 1, status: .succeeded))
        #expect(early == inOrder)
        #expect(early.settled == BatchState.Settled(succeeded: 1))
    }
}
