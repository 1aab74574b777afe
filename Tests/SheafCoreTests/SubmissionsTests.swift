import SheafCore
import Testing

@Suite("The log of submissions") struct SubmissionsTests {
    private let start = Timestamp(milliseconds: 1_700_000_000_000)

    private func entry(
        _ event: SubmissionEntry.Event,
        key: String = "k",
        bulk: String = "bulk1",
        after seconds: Int = 0
    ) -> SubmissionEntry {
        SubmissionEntry(
            key: key,
            batch: "b",
            flow: "f",
            bulk: bulk,
            at: start + .seconds(seconds),
            by: "w",
            event: event
        )
    }

    private func fold(_ events: [SubmissionEntry.Event]) -> Submission? {
        var submissions = Submissions()
        for (second, event) in events.enumerated() { submissions.apply(entry(event, after: second)) }
        return submissions["k"]
    }

    @Test("Every entry is decoded as it was encoded, and nothing else is an entry") func entriesAreRead() {
        let usage = Usage(["input_tokens": 7])
        for event in [
            SubmissionEntry.Event.announced(address: "http://h/v1"), .uploaded(file: "file-1", requests: 3),
            .created(id: "batch_1", requests: 3), .counted(2), .unclear("why"), .refused("no"), .lost("gone"),
            .ended(answered: 2, missing: 1, usage: usage), .discarded, .rejected("no such id"), .dropped,
            .cancelRequested, .resolved(id: "batch_2"), .resolved(id: nil), .waiting("why"),
            .reserved(tokens: 30_000_000_000, model: "m"),
        ] {
            #expect(SubmissionEntry(entry(event).message) == entry(event))
        }
        let message = entry(.discarded).message
        #expect(SubmissionEntry(Message(type: "created", body: message.body)) == nil, "it has no id")
        #expect(SubmissionEntry(Message(type: "resolved", body: message.body)) == nil, "it decides nothing")
        for body in ["", "[]", "{}", #"{"key":"k","batch":"no name","flow":"f","at":"2026-01-01T00:00:00Z"}"#] {
            #expect(SubmissionEntry(Message(type: "discarded", body: Array(body.utf8))) == nil)
        }
    }

    @Test("Tokens wait for those that were reserved earlier, and for those that the provider has")
    func tokensAreReserved() {
        var submissions = Submissions()
        func apply(_ key: String, _ events: SubmissionEntry.Event...) {
            for event in events { submissions.apply(entry(event, key: key, bulk: key == "again" ? "late" : key)) }
        }
        func ahead(_ key: String) -> [String] { submissions.ahead(of: key).map(\.key) }
        apply("late", .announced(address: "h"))
        apply("first", .announced(address: "h"), .reserved(tokens: 5, model: "m"))
        apply("other", .announced(address: "h"), .reserved(tokens: 5, model: "n"))
        apply("elsewhere", .announced(address: "i"), .reserved(tokens: 5, model: "m"))
        #expect(ahead("late").isEmpty && ahead("first").isEmpty)
        apply("second", .announced(address: "h"), .reserved(tokens: 6, model: "m"))
        apply("late", .reserved(tokens: 7, model: "m"))
        #expect(ahead("first").isEmpty && ahead("second") == ["first"] && ahead("late") == ["first", "second"])
        // The next worker reserves its tokens again, and keeps its place.
        apply("first", .announced(address: "h"), .reserved(tokens: 5, model: "m"), .waiting("for a key"))
        #expect(ahead("second") == ["first"] && submissions["first"]?.message == "for a key")
        apply("late", .created(id: "batch_1", requests: 3))
        #expect(ahead("first") == ["late"])
        apply("first", .ended(answered: 3, missing: 0, usage: Usage()))
        #expect(ahead("second") == ["late"] && submissions["late"]?.tokens == 7)
        // The bulk of "late" goes on with another one: the end of the first was not recorded.
        apply("again", .announced(address: "h"), .reserved(tokens: 1, model: "m"))
        #expect(ahead("again") == ["second"])
    }

    @Test("A submission goes from its announcement to its end") func theWholeWay() {
        let usage = Usage(["input_tokens": 7])
        let steps: [SubmissionEntry.Event] = [
            .announced(address: "http://h/v1"), .uploaded(file: "file-1", requests: 3),
            .created(id: "batch_1", requests: 3), .counted(2), .ended(answered: 2, missing: 1, usage: usage),
        ]
        let states: [Submission.State] = [.uploading, .creating, .running, .running, .ended]
        for count in steps.indices {
            #expect(fold(Array(steps[...count]))?.state == states[count])
        }
        let ended = fold(steps)
        #expect(ended?.id == "batch_1" && ended?.file == "file-1" && ended?.requests == 3 && ended?.usage == usage)
        #expect(ended?.results == 2 && ended?.missing == 1 && ended?.worker == "w" && ended?.bulk == "bulk1")
        #expect(ended?.announcedAt == start && ended?.changedAt == start + .seconds(4))
        // The next worker reports again how far it is.
        #expect(fold(steps + steps) == ended)
        #expect(fold([steps[0], steps[1], steps[0], steps[1]])?.state == .creating)
    }

    @Test("Only an unclear submission takes a decision, and the first one counts") func decisions() {
        let unclear: [SubmissionEntry.Event] = [.announced(address: "a"), .unclear("no answer")]
        #expect(fold(unclear)?.state == .unclear && fold(unclear)?.message == "no answer")
        #expect(fold([.announced(address: "a"), .resolved(id: "x")])?.resolution == nil)
        #expect(fold([.resolved(id: "x")]) == nil)
        #expect(fold(unclear + [.resolved(id: "x"), .resolved(id: nil)])?.resolution == .created("x"))
        #expect(fold(unclear + [.resolved(id: nil), .unclear("still")])?.resolution == .notCreated)
        let impossible = fold(unclear + [.resolved(id: "x"), .rejected("no x")])
        #expect(impossible?.resolution == nil && impossible?.rejection == "no x" && impossible?.state == .unclear)
        #expect(fold(unclear + [.resolved(id: nil), .dropped])?.state == .notCreated)
        let found = fold(unclear + [.resolved(id: "x"), .created(id: "x", requests: 1)])
        #expect(found?.state == .running && found?.message == "")
    }

    @Test("A request to cancel names who asked first, and comes too late after the end") func cancelling() {
        let running: [SubmissionEntry.Event] = [.announced(address: "a"), .created(id: "x", requests: 1)]
        #expect(fold(running + [.cancelRequested])?.cancelledBy == "w")
        #expect(fold(running + [.discarded, .cancelRequested])?.cancelledBy == nil)
        #expect(fold([.cancelRequested]) == nil)
    }

    @Test("Of the submissions that have ended, the oldest are forgotten, and of the others none") func forgetting() {
        var submissions = Submissions()
        submissions.apply(entry(.announced(address: "a"), key: "open"))
        let count = Submissions.mostFinal * 11 / 10 + 1
        for number in 0..<count { submissions.apply(entry(.refused("no"), key: "k\(number)")) }
        #expect(submissions["open"] != nil && submissions["k0"] == nil && submissions["k\(count - 1)"] != nil)
        #expect(submissions.all.reduce(0) { sum, _ in sum + 1 } == Submissions.mostFinal + 1)
    }
}
