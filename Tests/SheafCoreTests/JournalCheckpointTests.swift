import SheafCore
import Testing

@Suite("Journal checkpoints") struct JournalCheckpointTests {
    private static let flow: Name = "echo"
    private static let batches: [Name] = ["a", "b", "c"]

    private static func entry(_ batch: Name, _ event: JournalEntry.Event, at second: Int) -> JournalEntry {
        JournalEntry(batch: batch, flow: flow, at: Timestamp(milliseconds: Int64(second) * 1000), event: event)
    }

    /// Returns a random event, whether or not it is likely.
    private static func event() -> JournalEntry.Event {
        let small = Int.random(in: 0...2)
        return switch Int.random(in: 0...13) {
        case 0: .created(options: BatchOptions(maxRunning: small + 1), source: "s\(small)", nonce: "n\(small)")
        case 1, 2, 3: .published(count: small, digest: Bool.random() ? "d\(small)" : nil)
        case 4, 5: .sealed(total: small)
        case 6: .stopped(reason: "r\(small)")
        case 7: .cancelled(now: Bool.random())
        case 8: .paused
        case 9: .resumed(tolerated: small)
        case 10: .retried(generation: Int.random(in: 1...3), nonce: "z\(small)", count: small, tolerated: small)
        case 11: .changed(maxRunning: Bool.random() ? small + 1 : nil)
        case 12: small == 0 ? .deleted : .paused
        default:
            .finished(generation: small, endOffset: Int64(small), counts: BatchCounts(succeeded: small), startedAt: nil)
        }
    }

    @Test("A checkpoint at any offset of any journal leads to the same state") func checkpointsLeadToTheSameState()
        throws
    {
        for _ in 0..<500 {
            let entries = (0..<Int.random(in: 0...60)).map { second in
                let batch = Self.batches.randomElement() ?? "a"
                // Publishing times are a minute apart.
                return Self.entry(
                    batch,
                    second < 3 ? .created(options: .init(), source: "", nonce: "") : Self.event(),
                    at: second * 25
                )
            }
            var whole = JournalState()
            for entry in entries { whole.apply(entry) }
            var history = JournalHistory()
            for (offset, entry) in entries.enumerated() {
                // A reader continues from a checkpoint that another process wrote, and may write another one.
                if Int.random(in: 0..<5) == 0 {
                    let message = JournalCheckpoint(nextOffset: Int64(offset), history: history).message
                    let checkpoint = try #require(JournalCheckpoint(message))
                    #expect(checkpoint.nextOffset == Int64(offset))
                    #expect(checkpoint.history.count == history.count)
                    history = checkpoint.history
                }
                history.add(entry.message)
            }
            #expect(history.state == whole, "\(entries)")
            let last = try #require(JournalCheckpoint(JournalCheckpoint(nextOffset: 0, history: history).message))
            #expect(last.history.state == whole, "\(entries)")
        }
    }

    @Test("A checkpoint omits entries that no longer matter") func irrelevantEntriesAreOmitted() throws {
        let (kept, deleted) = (Self.batches[0], Self.batches[1])
        var history = JournalHistory()
        for batch in [kept, deleted] {
            history.add(Self.entry(batch, .created(options: .init(), source: "", nonce: ""), at: 0).message)
            for count in 1...100 {
                history.add(Self.entry(batch, .published(count: count * 10_000), at: count).message)
            }
            history.add(Self.entry(batch, .sealed(total: 1_000_000), at: 101).message)
        }
        #expect(history.count == 6)
        let open = Self.batches[2]
        history.add(Self.entry(open, .created(options: .init(), source: "", nonce: ""), at: 0).message)
        for count in 1...100 { history.add(Self.entry(open, .published(count: count), at: count).message) }
        // Published in second 1, in second 61, and last.
        #expect(history.count == 10)
        let times = [0, 1, 60, 61].map { history.state[open]?.publishingTime(ofTask: $0)?.milliseconds }
        #expect(times == [1_000, 61_000, 61_000, nil])
        history.add(Self.entry(open, .deleted, at: 101).message)
        #expect(history.count == 7)
        history.add(Self.entry(deleted, .deleted, at: 102).message)
        history.add(Self.entry(deleted, .deleted, at: 103).message)
        #expect(history.count == 5)
        let checkpoint = try #require(JournalCheckpoint(JournalCheckpoint(nextOffset: 7, history: history).message))
        #expect(checkpoint.history.state[kept]?.published == 1_000_000)
        #expect(checkpoint.history.state.isDeleted(deleted) && checkpoint.history.state[deleted] == nil)
    }

    @Test("Tasks wait since they were published, and again since the batch was sealed, retried or resumed")
    func waitingTimes() throws {
        let batch = Self.batches[0]
        var history = JournalHistory()
        func since(_ event: JournalEntry.Event, at second: Int) -> Int64? {
            history.add(Self.entry(batch, event, at: second).message)
            return history.state[batch]?.waitingSince(task: 3).map { $0.milliseconds / 1_000 }
        }
        #expect(since(.created(options: .init(), source: "", nonce: ""), at: 0) == nil)
        #expect(since(.published(count: 10), at: 100) == 100)
        #expect(since(.paused, at: 150) == 100)
        #expect(since(.resumed(tolerated: 0), at: 160) == 100)
        #expect(since(.sealed(total: 10), at: 200) == 200)
        #expect(since(.sealed(total: 10), at: 210) == 200)
        #expect(since(.resumed(tolerated: 0), at: 300) == 300)
        let checkpoint = try #require(JournalCheckpoint(JournalCheckpoint(nextOffset: 7, history: history).message))
        #expect(checkpoint.history.state == history.state)
        #expect(since(.retried(generation: 1, nonce: "n", count: 2, tolerated: 0), at: 400) == 400)
    }

    @Test("A checkpoint keeps entries of a later version") func entriesOfALaterVersionStay() throws {
        var history = JournalHistory()
        var strange = Self.entry(Self.batches[0], .paused, at: 1).message
        strange.type = "dance"
        strange.body = Array("{\n  \"at\": \"2026-01-31T12:00:00.000Z\",\n  \"partner\": [1, 2]\n}".utf8)
        history.add(strange)
        history.add(Message(type: "dance", body: strange.body))
        let message = JournalCheckpoint(nextOffset: 2, history: history).message
        let text = String(decoding: message.body, as: UTF8.self)
        #expect(
            text
                == #"{"type":"dance","batch":"a","flow":"echo","body":{"at":"2026-01-31T12:00:00.000Z","partner":[1,2]}}"#
                + "\n"
        )
        #expect(JournalCheckpoint(message)?.history.count == 1)
    }

    @Test(
        "A checkpoint with a damaged line is rejected",
        arguments: ["{", "{}", #"{"type":"sealed","batch":"b","flow":"f"}"#, "null", "\u{0}"]
    )
    func damagedLines(line: String) {
        var history = JournalHistory()
        history.add(Self.entry(Self.batches[0], .created(options: .init(), source: "", nonce: ""), at: 0).message)
        var message = JournalCheckpoint(nextOffset: 1, history: history).message
        #expect(JournalCheckpoint(message) != nil)
        message.body += Array(line.utf8)
        #expect(JournalCheckpoint(message) == nil)
    }
}
