import Testing

@testable import SheafCore

/// Tests that foreign content is limited before it is stored.
@Suite("Limits of foreign content") struct SecurityBoundsTests {
    private func message(_ type: String, _ body: [UInt8], record: String = "r") -> Message {
        Message(
            type: type,
            contentType: "application/json",
            headers: [
                .init("sheaf-flow", .string("f")), .init("sheaf-batch", .string("b")),
                .init("sheaf-index", .integer(0)),
                .init("sheaf-record", .string(record)),
            ],
            body: body
        )
    }

    @Test("A task that exceeds the maximum record size is rejected") func aTaskOfMoreThanARecord() throws {
        let most = [UInt8](repeating: UInt8(ascii: "1"), count: Record.maximumSize)
        #expect(try BatchTask(message("task", most)).record.bytes.count == Record.maximumSize)
        let error = #expect(throws: UnreadableMessage.self) { try BatchTask(message("task", most + [0x31])) }
        #expect(error?.reason.contains("1048577 bytes; the limit is 1048576") == true)
    }

    @Test("A huge header leads to a short error") func aHeaderWithoutAnEnd() {
        let long = String(repeating: "x", count: 8 << 20)
        let error = #expect(throws: UnreadableMessage.self) { try BatchTask(message("task", [], record: long)) }
        #expect((error?.reason.utf8.count ?? .max) < 200)
        var other = message("task", [])
        other.type = long
        let second = #expect(throws: UnreadableMessage.self) { try BatchTask(other) }
        #expect((second?.reason.utf8.count ?? .max) < 200)
    }

    @Test("A huge journal entry is rejected") func aJournalEntryOfEightMebibytes() {
        let source = String(repeating: "x", count: 8 << 20)
        let entry = Array(#"{"source":"\#(source)"}"#.utf8)
        #expect(JournalEntry(message("created", entry)) == nil)
        #expect(JournalEntry(message("created", Array(#"{"source":"x"}"#.utf8))) != nil)
    }

    @Test("Huge numbers of invalid or empty outcome lines are counted") func hugeNumbersOfLines() {
        let lines = Array(repeating: Array("{}\n".utf8), count: 50_000).joined()
        var results = message("outcomes", Array(lines))
        let (outcomes, unreadable) = ResultMessage.summaries(of: results)
        #expect(outcomes.isEmpty && unreadable == 50_000)
        results.body = [UInt8](repeating: 0x0A, count: 1_000_000)
        #expect(ResultMessage.summaries(of: results).unreadable == 0)
    }

    @Test("JSON with unlimited nesting is rejected") func nestingWithoutAnEnd() {
        for (open, name) in [("[", "arrays"), ("{\"a\":", "objects")] {
            let text = Array(String(repeating: open, count: 1_000_000).utf8)
            let error = #expect(throws: JSONError.self, "\(name)") { try JSON.parse(text) }
            #expect(error?.message.contains("256 deep") == true)
            #expect(throws: JSONError.self) { try JSON.validate(text) }
            #expect(throws: JSONError.self) { try JSON.slices(of: Array("{\"a\":".utf8) + text) }
        }
    }

    @Test("Impossible counts are clamped") func impossibleCounts() throws {
        let huge = "9223372036854775807"
        let counts = BatchCounts(json: try JSON.parse(#"{"pending":\#(huge),"failed":\#(huge),"running":-\#(huge)}"#))
        #expect(counts.pending == BatchState.maximumTasks && counts.failed == BatchState.maximumTasks)
        #expect(counts.running == 0 && counts.total == 2 * BatchState.maximumTasks)
        let progress = BatchProgress(
            json: try JSON.parse(#"{"batch":"b","total":\#(huge),"succeeded":\#(huge),"failed":1}"#)
        )
        #expect(progress?.settled.count == BatchState.maximumTasks + 1)
    }

    @Test(
        "Timestamps with unusual fractions and years are parsed or rejected",
        arguments: [
            ("2026-01-31T12:00:00.99999999999999999999999999999999Z", true), ("2026-01-31T12:00:00.Z", false),
            ("9999-12-31T23:59:59.999Z", true), ("9999-12-31T23:59:60Z", false), ("2026-01-31T12:00:00.1x2Z", false),
        ]
    ) func unusualTimestamps(text: String, isOne: Bool) {
        #expect((Timestamp(text) != nil) == isOne)
    }

    @Test("The first of two members with the same name counts in an outcome line") func theFirstOfTwoMembersStands()
        throws
    {
        let line = Array(#"{"index":0,"generation":0,"status":"succeeded","status":"failed","index":1}"#.utf8)
        let outcome = try Outcome(line: line)
        let message = ResultMessage.outcomes(batch: "b", lines: line)
        #expect(ResultMessage.summaries(of: message).outcomes == [outcome.summary])
        #expect(outcome.index == 0 && outcome.status == .succeeded)
    }
}
