import SheafCore
import Testing

@Suite("Journal state") struct JournalStateTests {
    static let batch: Name = "b1"
    static let flow: Name = "echo"

    func state(_ events: [JournalEntry.Event]) -> JournalState {
        var state = JournalState()
        for (second, event) in events.enumerated() {
            let at = Timestamp(milliseconds: Int64(second) * 1000)
            state.apply(JournalEntry(batch: Self.batch, flow: Self.flow, at: at, event: event))
        }
        return state
    }

    static func created(_ nonce: String = "n") -> JournalEntry.Event {
        .created(options: BatchOptions(), source: "x.jsonl", nonce: nonce)
    }

    static func finished(_ counts: BatchCounts) -> JournalEntry.Event {
        .finished(generation: 0, endOffset: 7, counts: counts, startedAt: nil)
    }

    static let histories: [([JournalEntry.Event], BatchStatus)] = [
        ([created()], .pending),
        ([created(), .sealed(total: 2)], .pending),
        ([created(), .sealed(total: 2), .paused], .paused),
        ([created(), .sealed(total: 2), .paused, .resumed(tolerated: 0)], .pending),
        ([created(), .sealed(total: 2), .stopped(reason: "r")], .failed),
        ([created(), .sealed(total: 2), .stopped(reason: "r"), .resumed(tolerated: 0)], .pending),
        ([created(), .sealed(total: 2), finished(BatchCounts(succeeded: 2))], .completed),
        ([created(), .sealed(total: 2), .stopped(reason: "r"), finished(BatchCounts(failed: 2))], .failed),
        ([created(), .cancelled(now: false)], .cancelled),
        ([created(), .cancelled(now: false), .stopped(reason: "r")], .cancelled),
        ([created(), .sealed(total: 2), finished(BatchCounts(succeeded: 2)), .cancelled(now: true)], .completed),
        ([created(), .sealed(total: 2), .cancelled(now: true), finished(BatchCounts(cancelled: 2))], .cancelled),
    ]

    @Test("The status of a batch follows from its journal entries", arguments: histories)
    func statusFollowsTheJournal(events: [JournalEntry.Event], status: BatchStatus) throws {
        let batch = try #require(state(events)[Self.batch])
        #expect(batch.status(hasStarted: false) == status)
    }

    @Test("The first creation of an id counts") func theFirstCreationOfAnIdWins() throws {
        let state = state([Self.created("first"), Self.created("second")])
        #expect(state.batches.count == 1)
        #expect(state[Self.batch]?.nonce == "first")
    }

    @Test("The first end of a batch counts") func theFirstEndingStands() throws {
        let state = state([
            Self.created(), .sealed(total: 3), Self.finished(BatchCounts(succeeded: 3)),
            Self.finished(BatchCounts(failed: 3)),
        ])
        #expect(state[Self.batch]?.ending?.counts == BatchCounts(succeeded: 3))
    }

    @Test("Entries of an unknown batch change nothing") func entriesOfAnUnknownBatchChangeNothing() {
        #expect(state([.sealed(total: 3)]) == JournalState())
    }

    @Test("Replaying the whole journal changes nothing") func replayingTheWholeJournalChangesNothing() {
        for (events, _) in Self.histories {
            var once = state(events)
            let before = once
            for (second, event) in events.enumerated() where second != 0 {
                if case .paused = event { continue }  // Pausing again after a resume changes the state.
                if case .resumed = event { continue }
                let at = Timestamp(milliseconds: Int64(second) * 1000)
                once.apply(JournalEntry(batch: Self.batch, flow: Self.flow, at: at, event: event))
            }
            if events.contains(where: { if case .resumed = $0 { true } else { false } }) { continue }
            #expect(once == before)
        }
    }

    @Test("Every journal entry is decoded as it was encoded") func entriesSurviveTheWire() throws {
        let options = BatchOptions(
            errorPolicy: .stopPercent(above: 2.5),
            maxRunning: 7,
            seed: .max,
            maxRecords: 3,
            parameters: ["lang": ["en", "fr"]],
            tags: ["customer": "acme <b>", "x.y-z_1": ""]
        )
        let events: [JournalEntry.Event] = [
            .created(options: options, source: "a.csv", nonce: "x"), .published(count: 10), .sealed(total: 11),
            .stopped(reason: "why"), .cancelled(now: true), .paused, .resumed(tolerated: 3),
            .created(options: options, source: "-", nonce: "y", input: ["format": "jsonl"]),
            .retried(generation: 2, nonce: "z", count: 5, tolerated: 1), .changed(maxRunning: 9),
            .changed(maxRunning: nil),
            .deleted,
            .finished(
                generation: 1,
                endOffset: 99,
                counts: BatchCounts(succeeded: 5, failed: 2, cancelled: 4),
                startedAt: Timestamp(milliseconds: 1_700_000_000_123)
            ),
        ]
        for event in events {
            let entry = JournalEntry(batch: Self.batch, flow: Self.flow, at: Timestamp(milliseconds: 5), event: event)
            #expect(JournalEntry(entry.message) == entry)
        }
    }

    @Test("A limit of running tasks above the maximum is read as the maximum, so that no process mints more permits")
    func hugeLimits() {
        let most = BatchOptions.runningLimits.upperBound
        let (written, read) = (BatchOptions(maxRunning: most + 1), BatchOptions(maxRunning: most))
        let pairs: [(JournalEntry.Event, JournalEntry.Event)] = [
            (.changed(maxRunning: .max), .changed(maxRunning: most)),
            (.created(options: written, source: "-", nonce: "x"), .created(options: read, source: "-", nonce: "x")),
        ]
        for (before, after) in pairs {
            let entry = JournalEntry(batch: Self.batch, flow: Self.flow, at: Timestamp(milliseconds: 5), event: before)
            #expect(JournalEntry(entry.message)?.event == after)
        }
    }

    @Test("Messages that are not journal entries are rejected") func invalidEntries() {
        #expect(JournalEntry(Message(type: "created", body: Array("{}".utf8))) == nil)
        #expect(JournalEntry(Message(type: "dance", headers: [.init("sheaf-batch", .string("b"))])) == nil)
        let huge = JournalEntry(
            batch: Self.batch,
            flow: Self.flow,
            at: Timestamp(milliseconds: 0),
            event: .sealed(total: 1)
        )
        var message = huge.message
        message.body = Array(#"{"at":"","total":99999999999999}"#.utf8)
        #expect(JournalEntry(message) == nil)
    }
}
