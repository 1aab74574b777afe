import SheafCore
import Testing

@Suite("Snapshots") struct SnapshotTests {
    static func state(_ generator: inout Seeded) -> BatchState {
        var state = BatchState()
        if Bool.random(using: &generator) { state.applyPublished(Int.random(in: 0...400, using: &generator)) }
        if Bool.random(using: &generator) { state.applySealed(total: Int.random(in: 0...400, using: &generator)) }
        if Bool.random(using: &generator) { state.applyStarted(at: Timestamp(milliseconds: 1_700_000_000_000)) }
        let (results, retries) = ReopeningTests.history(&generator)
        for event in results { state.apply(event) }
        for retry in retries where Bool.random(using: &generator) { state.applyCommitted(retry) }
        state.apply(OutcomeSummary(index: 3, generation: 9, status: .failed, isInvalidRecord: true))
        state.applyLeased(TaskLease(id: "l1", index: 399, generation: 0, worker: "w"))
        for offset in 1...Int64.random(in: 1...60, using: &generator) {
            state.apply(bulkEvent(&generator), at: offset)
        }
        let pilot = (0..<400).filter { _ in Int.random(in: 0..<9, using: &generator) == 0 }
        if Bool.random(using: &generator) { state.apply(.pilot(tasks: IndexRanges(rising: pilot))) }
        let twins = (0..<400).filter { _ in Int.random(in: 0..<3, using: &generator) == 0 }
        if Bool.random(using: &generator) {
            state.apply(.twins(twins.map { Twin(index: $0, first: 400, recordID: "r") }))
        }
        for _ in 0..<Int.random(in: 0...40, using: &generator) { state.apply(.question(question(&generator))) }
        return state
    }

    private static func bulkEvent(_ generator: inout Seeded) -> ResultEvent {
        let (bulk, index) = ("x\(Int.random(in: 0..<3, using: &generator))", Int.random(in: 0..<400, using: &generator))
        let turn = Int.random(in: 0..<3, using: &generator)
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: return .bulk(BulkEvent(bulk: bulk, turn: turn, .remembered))
        case 1: return .bulk(BulkEvent(bulk: bulk, turn: turn, .offered))
        case 2: return .bulk(BulkEvent(bulk: bulk, turn: turn, .adopted(worker: "w\(turn)")))
        default:
            let record = Record(id: "r", kind: .text, bytes: [])
            return .leased(
                TaskLease(of: BatchTask(flow: "f", batch: "b", index: index, record: record), in: bulk, worker: "w")
            )
        }
    }

    /// A question of one of a few tasks, an answer to it, or its end.
    private static func question(_ generator: inout Seeded) -> QuestionEntry {
        let id = QuestionID(
            index: Int.random(in: 390...400, using: &generator),
            generation: Int.random(in: 0...1, using: &generator),
            number: Int.random(in: 1...2, using: &generator)
        )
        let choices = ["", "yes", "né\n"].shuffled(using: &generator)
        let question = Question(choices[0], choices: Array(choices.dropFirst()), fallback: choices[1])
        let events: [QuestionEntry.Event] = [
            .asked(question), .asked(Question("Which?")), .answered(choices[1]), .withdrawn,
        ]
        let time = Int64.random(in: -1_000_000_000_000...2_000_000_000_000, using: &generator)
        return QuestionEntry(
            id: id,
            at: Timestamp(milliseconds: time),
            by: choices[2],
            event: events.randomElement(using: &generator) ?? .withdrawn
        )
    }

    @Test("A snapshot restores the whole state", arguments: 0..<100)
    func aSnapshotHoldsTheWholeState(seed: UInt64) throws {
        var generator = Seeded(state: seed)
        let state = Self.state(&generator)
        let restored = try #require(BatchState(snapshot: state.snapshot))
        #expect(restored == state)
        #expect(restored.questions.open.map(\.id) == state.questions.open.map(\.id))
    }

    @Test("Entries with a generation that no batch can reach leave a state whose snapshot is readable")
    func hostileGenerations() throws {
        let beyond = BatchState.maximumTasks
        let id = QuestionID(index: 1, generation: beyond, number: 1)
        let asked = QuestionEntry(id: id, at: Timestamp(milliseconds: 0), by: "w", event: .asked(Question("Why?")))
        let task = BatchTask(
            flow: "f",
            batch: "b",
            index: 1,
            generation: beyond,
            record: Record(id: "r", kind: .text, bytes: [])
        )
        let lease = TaskLease(id: "l", index: 1, generation: beyond, worker: "w").message(of: task)
        var state = BatchState()
        for message in [asked.message(batch: "b"), lease] { state.apply(ResultEvent(message)) }
        let outcome = OutcomeSummary(index: 2, generation: beyond, status: .succeeded)
        state.apply(.outcomes([outcome], unreadable: 0))
        #expect(state == BatchState())
        #expect(try #require(BatchState(snapshot: state.snapshot)) == state)
    }

    @Test("A truncated or changed snapshot is rejected", arguments: 0..<100)
    func damagedSnapshots(seed: UInt64) throws {
        var generator = Seeded(state: seed)
        let bytes = Self.state(&generator).snapshot
        #expect(BatchState(snapshot: Array(bytes.prefix(Int.random(in: 0..<bytes.count, using: &generator)))) == nil)
        var changed = bytes
        changed[Int.random(in: 0..<bytes.count, using: &generator)] ^= 1 << UInt8.random(in: 0...7, using: &generator)
        #expect(BatchState(snapshot: changed) == nil)
        #expect(BatchState(snapshot: bytes + [0]) == nil)
    }

    @Test("The snapshot of a batch that settled in order takes a few bytes") func aBatchInOrderTakesAFewBytes() {
        var state = BatchState()
        state.applySealed(total: 1_000_000)
        for index in 0..<300_000 { state.apply(OutcomeSummary(index: index, status: .succeeded)) }
        #expect(state.snapshot.count < 64)
        #expect(BatchState(snapshot: state.snapshot) == state)
    }

    @Test("A checkpoint message is decoded as it was encoded") func aCheckpointTravelsAsAMessage() throws {
        var generator = Seeded(state: 7)
        let state = Self.state(&generator)
        let batch: Name = "b"
        let message = ResultMessage.checkpoint(batch: batch, of: state, upTo: 41)
        let read = try #require(ResultMessage.checkpoint(message))
        #expect(read.state == state && read.offset == 41)
        #expect(ResultEvent(message) == .checkpoint)
        var torn = message
        torn.body.removeLast(3)
        #expect(ResultMessage.checkpoint(torn) == nil)
    }
}
