import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite("Questions") struct QuestionTests {
    private static let question = Question("Keep it?", choices: ["yes", "no"], fallback: "yes")

    /// A flow that asks twice and returns both answers; the gauge counts its runs.
    private func asking(_ gauge: Gauge, timeout: Duration? = nil, answerTimeout: Duration? = nil) throws
        -> FlowDefinition
    {
        var flow = try FlowDefinition.work(timeout: timeout) { task in
            await gauge.enter()
            guard let asker = task.asker else { throw FlowError(type: "not-interactive", message: "nobody to ask") }
            let first = try await asker.ask(Self.question)
            let second = try await asker.ask(Question("And why?"))
            return .text("\(first): \(second)")
        }
        flow.answerTimeout = answerTimeout
        return flow
    }

    private func open(_ client: SheafClient, _ batch: CreatedBatch, _ count: Int = 1) async throws -> [OpenQuestion] {
        var questions: [OpenQuestion] = []
        try await until("\(count) questions are asked") {
            questions = try await client.questions(of: batch.id.text)
            return questions.count == count
        }
        return questions
    }

    @Test("An answer reaches a task whose worker was killed after asking", arguments: BrokerKind.allCases)
    func anAnswerReachesATaskWhoseWorkerWasKilledMeanwhile(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let (first, second) = (Gauge(), Gauge())
            try await stage.client { client in
                let interactive = try plan { $0.options.isInteractive = true }
                let batch = try await client.create(interactive, records: records(1))
                let killed = Task { try await stage.work([try asking(first)]) }
                let asked = try #require(try await open(client, batch).first)
                #expect(asked.question == Question("Keep it?", choices: ["yes", "no"], fallback: "yes"))
                #expect(asked.task == "\(batch.id):0" && asked.id.number == 1)
                #expect(try await client.batch(batch.id.text).questions == 1)
                let wrong = await #expect(throws: SheafError.self) {
                    try await client.answer(asked.task, with: "perhaps", by: "anna")
                }
                #expect(wrong?.code == .invalid && wrong?.message.contains("yes, no") == true)
                try await stage.client { elsewhere in
                    _ = try await elsewhere.answer(asked.task, with: "no", by: "anna")
                }
                var next = try #require(try await open(client, batch).first)
                try await until("the second question is asked") {
                    next = try await client.questions(of: batch.id.text).first ?? next
                    return next.id.number == 2
                }
                killed.cancel()
                _ = await killed.result
                // The question is still open although its worker is gone.
                #expect(try await open(client, batch).first?.question.text == "And why?")
                _ = try await client.answer("last:0", with: "because", by: "anna")
                let late = await #expect(throws: SheafError.self) {
                    try await client.answer(asked.task, with: "else", by: "a second person")
                }
                #expect(late?.code == .alreadyFinished && late?.message.contains("'because' by anna at") == true)
                try await stage.work([try asking(second)])
                #expect(await second.total == 1)
                let outcome = try #require(try await client.allResults(batch.id).first)
                #expect(outcome.output == Array(#""no: because""#.utf8))
                #expect(try await client.questions().isEmpty)
            }
        }
    }

    @Test("The progress of a batch has the number of open questions", arguments: BrokerKind.allCases)
    func whoWatchesSeesHowManyAreOpen(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let interactive = try plan { $0.options.isInteractive = true }
                let batch = try await client.create(interactive, records: records(2))
                async let working = stage.work([try asking(Gauge())]) { $0.concurrency = 2 }
                // Two tasks ask twice each: each answer opens the next question, except the last two.
                var counts: [Int] = []
                for try await summary in client.progress(of: batch.id.text) {
                    if summary.questions != counts.last { counts.append(summary.questions) }
                    guard counts.contains(2), summary.questions > 0 else { continue }
                    let asked = try await client.questions(of: batch.id.text)
                    for question in asked { _ = try? await client.answer(question.task, with: "yes", by: "anna") }
                }
                _ = try await working
                #expect(counts.contains(2) && counts.last == 0, "\(counts)")
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 2))
            }
        }
    }

    @Test("The open questions of a worker that leaves are taken over", arguments: BrokerKind.allCases)
    func whoeverLeavesLeavesItsQuestionsToOthers(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let gauge = Gauge()
            try await stage.client { client in
                let interactive = try plan { $0.options.isInteractive = true }
                let batch = try await client.create(interactive, records: records(2))
                let flow = try asking(gauge)
                // It would wait indefinitely, because its tasks have no time-out.
                let report = try await stage.work([flow]) { configuration in
                    configuration.maxTime = .seconds(2)
                    configuration.grace = nil
                }
                #expect(report.finished == 0)
                let left = try await open(client, batch, 2)
                async let working = stage.work([flow])
                for question in left {
                    _ = try await client.answer(question.task, with: "", by: "anna")
                    try await until("the second question is asked") {
                        try await client.questions(of: batch.id.text).contains {
                            $0.id.index == question.id.index && $0.id.number == 2
                        }
                    }
                    _ = try await client.answer(question.task, with: "so", by: "anna")
                }
                _ = try await working
                let outputs = try await client.allResults(batch.id).map {
                    String(decoding: $0.output ?? [], as: UTF8.self)
                }
                #expect(outputs == [#""yes: so""#, #""yes: so""#])
            }
        }
    }

    @Test("An unanswered question ends by its time-out", arguments: BrokerKind.allCases)
    func aQuestionThatNobodyAnswersEndsByItsTime(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let interactive = try plan { $0.options.isInteractive = true }
                for (flow, type) in [
                    (try asking(Gauge(), answerTimeout: .milliseconds(400)), "unanswered"),
                    (try asking(Gauge(), timeout: .milliseconds(400)), "timeout"),
                ] {
                    let batch = try await client.create(interactive, records: records(1))
                    try await stage.work([flow])
                    #expect(try await client.allResults(batch.id).first?.error?.type == type)
                    #expect(try await client.questions(of: batch.id.text).isEmpty)
                    let late = await #expect(throws: SheafError.self) {
                        try await client.answer("\(batch.id):0", with: "yes", by: "anna")
                    }
                    #expect(late?.code == .alreadyFinished)
                }
            }
        }
    }

    @Test("Only tasks of an interactive batch can ask", arguments: BrokerKind.allCases)
    func onlyAnInteractiveBatchAsks(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let flow = try asking(Gauge())
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(1))
                try await stage.work([flow])
                #expect(try await client.allResults(batch.id).first?.error?.type == "not-interactive")
                let error = await #expect(throws: SheafError.self) { try await client.questions(of: batch.id.text) }
                #expect(error?.code == .notNow)
            }
        }
    }

    /// Answers questions one after the other.
    private actor Person: QuestionPrompt {
        private(set) var asked: [String] = []
        private(set) var most = 0
        private var now = 0

        func ask(_ question: Question, of task: String) async throws -> String? {
            now += 1
            most = max(most, now)
            asked.append(question.text)
            await Task.yield()
            now -= 1
            return question.choices.first ?? "fine"
        }
    }

    @Test("A prompt at the worker gets one question at a time", arguments: BrokerKind.allCases)
    func thePersonAtTheWorkerIsAskedOneQuestionAtATime(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let (flow, person) = (try asking(Gauge()), Person())
            try await stage.client { client in
                let interactive = try plan { $0.options.isInteractive = true }
                let batch = try await client.create(interactive, records: records(8))
                try await stage.work([flow]) { $0.prompt = person }
                let outputs = Set(
                    try await client.allResults(batch.id).map { String(decoding: $0.output ?? [], as: UTF8.self) }
                )
                #expect(outputs == [#""yes: fine""#])
                #expect(await person.asked.count == 16)
                #expect(await person.most == 1)
            }
        }
    }
}
