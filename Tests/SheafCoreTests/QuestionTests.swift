import SheafCore
import Testing

@Suite("Questions") struct QuestionTests {
    private let id = QuestionID(index: 3, generation: 1, number: 2)

    private func entry(_ event: QuestionEntry.Event, by author: String = "w") -> QuestionEntry {
        QuestionEntry(id: id, at: Timestamp(milliseconds: 1_700_000_000_000), by: author, event: event)
    }

    @Test("Every question entry is decoded as it was encoded") func entriesAreReadAsTheyWereWritten() {
        let question = Question("Which?", choices: ["a", "b"], fallback: "a")
        for event in [
            QuestionEntry.Event.asked(question), .asked(Question("")), .answered("x"), .answered(""), .withdrawn,
        ] {
            let message = entry(event).message(batch: "b")
            #expect(QuestionEntry(message) == entry(event))
            #expect(ResultEvent(message) == .question(entry(event)))
        }
        #expect(ResultEvent(Message(type: "asked")) == .unknown)
        for body in ["", "[]", "{}", #"{"index":-1,"generation":0,"number":1,"at":"2026-01-01T00:00:00Z"}"#] {
            #expect(QuestionEntry(Message(type: "withdrawn", body: Array(body.utf8))) == nil)
        }
    }

    @Test("The first answer to a question counts") func theFirstAnswerCounts() {
        var state = QuestionState()
        state.apply(entry(.answered("before it was asked")))
        #expect(state[id] == nil)
        state.apply(entry(.asked(Question("Which?"))))
        #expect(state.open.map(\.id) == [id])
        state.apply(entry(.answered("one"), by: "first"))
        state.apply(entry(.answered("two"), by: "second"))
        state.apply(entry(.withdrawn))
        state.apply(entry(.asked(Question("Which?")), by: "later"))
        #expect(state[id]?.answer?.value == "one" && state[id]?.answer?.by == "first")
        #expect(state.open.isEmpty)
    }

    @Test("A withdrawn question takes no answer until it is asked again") func withdrawnQuestionsTakeNoAnswer() {
        var state = QuestionState()
        for event in [QuestionEntry.Event.asked(Question("Which?")), .withdrawn, .answered("too late")] {
            state.apply(entry(event))
        }
        #expect(state.open.isEmpty && state[id]?.answer == nil)
        state.apply(entry(.asked(Question("Which?"))))
        state.apply(entry(.answered("in time")))
        #expect(state[id]?.answer?.value == "in time")
    }

    @Test("The outcome of a task ends its questions, and a retry does so for those of earlier generations")
    func endedTasksHaveNoQuestions() {
        func asked(_ index: Int, _ generation: Int) -> ResultEvent {
            let id = QuestionID(index: index, generation: generation, number: 1)
            let time = Timestamp(milliseconds: 0)
            return .question(QuestionEntry(id: id, at: time, by: "w", event: .asked(Question("Which?"))))
        }
        var state = BatchState()
        for event in [asked(0, 0), asked(1, 0), asked(2, 1), asked(9, 0)] { state.apply(event) }
        state.applySealed(total: 3)
        #expect(state.questions.open.map(\.id.index) == [0, 1, 2])
        state.apply(OutcomeSummary(index: 0, status: .succeeded))
        for event in [asked(0, 0), asked(9, 0)] { state.apply(event) }
        #expect(state.questions.open.map(\.id.index) == [1, 2] && state.questions.openCount == 2)
        #expect(state.hasEnded(QuestionID(index: 0, generation: 0, number: 1)))
        #expect(!state.hasEnded(QuestionID(index: 1, generation: 0, number: 1)))
        state.applyReopened(generation: 1, nonce: "n", tasks: IndexRanges(rising: 0..<3))
        state.applyCommitted(BatchInfo.Reopening(generation: 1, nonce: "n", count: 3))
        state.apply(asked(0, 1))
        #expect(state.questions.open.map(\.id.index) == [0, 2])
        #expect(state.hasEnded(QuestionID(index: 1, generation: 0, number: 1)))
    }

    @Test("An answer must be one of the choices, and an empty one is the fallback") func answersAreChecked() {
        #expect(Question("q", choices: ["a", "b"], fallback: "b").answer("") == "b")
        #expect(Question("q", choices: ["a", "b"]).answer("") == nil)
        #expect(Question("q", choices: ["a", "b"]).answer("c") == nil)
        #expect(Question("q").answer("anything") == "anything")
        #expect(Question("q").answer("") == nil)
    }
}
