import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@testable import SheafBatches
@testable import SheafWorker

@Suite("Questions") struct QuestionTests {
    private static let question = Question("Keep it?", choices: ["yes", "no"], fallback: "yes")

    /// A flow that asks twice and returns both answers; the gauge counts its runs.
    private func asking(_ gauge: Gauge, timeout: Duration? = nil, answerTimeout: Duration? = nil) throws
        -> FlowDefinition
    {
        var flow = try FlowDefinition.work(timeout: timeout) { task in
            await gauge.enter()
            guard let asker = task.asker else { throw FlowError(type: "not-interactive", message: "no asker") }
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
                // The aggregator reports it about once a second.
                try await until("the status counts it") { try await client.batch(batch.id.text).questions == 1 }
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

    /// Asks questions of the tasks 0 ..< 4 at the same time, and answers each of them at once.
    private func ask(_ client: SheafClient, _ batch: CreatedBatch, questions: Int) async throws {
        let readers = FoldFollowers(client: client, journal: try await Journal.read(from: client))
        let prompts = PromptQueue(Person())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<4 {
                let record = Record(id: "r", kind: .json, bytes: Array("1".utf8))
                let asker = TaskAsker(
                    client: client,
                    questions: readers[batch.id],
                    task: BatchTask(flow: batch.flow, batch: batch.id, index: index, record: record),
                    worker: "w",
                    timeout: nil,
                    lifecycle: WorkerLifecycle(),
                    prompts: prompts,
                    withdrawalPatience: .seconds(2)
                )
                group.addTask {
                    for _ in 0..<questions {
                        let answer = try await asker.ask(Self.question)
                        #expect(answer == "yes")
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("Asking many questions reads each entry of the log once", arguments: BrokerKind.allCases)
    func eachEntryIsReadOnce(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan { $0.options.isInteractive = true }, records: records(4))
                let log = client.names.results(batch: batch.id)
                // The second worker gets the answers that the first one got.
                for (asked, answered) in [(80, 80), (160, 80)] {
                    let broker = CountingBroker(client.broker, log: log)
                    let counted = try await SheafClient(broker: broker, namespace: stage.namespace)
                    try await ask(counted, batch, questions: 20)
                    let types = try await client.entries(of: log).map(\.message.type)
                    #expect(types.filter { $0 == "asked" }.count == asked)
                    #expect(types.filter { $0 == "answered" }.count == answered)
                    let offsets = broker.read.map(\.offset)
                    #expect(offsets == Set(offsets).sorted() && offsets.count >= 160)
                }
            }
        }
    }

    @Test("A task of a cancelled batch that may finish gets its answers", arguments: BrokerKind.allCases)
    func cancelledBatches(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan { $0.options.isInteractive = true }, records: records(20))
                let flow = try asking(Gauge())
                async let working = stage.work([flow]) { $0.concurrency = 1 }
                let asked = try #require(try await open(client, batch).first)
                try await client.cancel(batch.id.text)
                _ = try await client.answer(asked.task, with: "no", by: "anna")
                try await until("it asks again") {
                    guard let next = try await client.questions(of: batch.id.text).first else { return false }
                    return next.id.number == 2
                }
                _ = try await client.answer(asked.task, with: "because", by: "anna")
                #expect(try await working.succeeded == 1)
                let summary = try await client.batch(batch.id.text)
                #expect(summary.info.ending != nil && summary.counts.succeeded == 1)
            }
        }
    }

    @Test("An answer that is too long as JSON is refused", arguments: BrokerKind.allCases)
    func longAnswers(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan { $0.options.isInteractive = true }, records: records(1))
                let flow = try FlowDefinition.work { task in .text(try await task.asker?.ask(Question("Why?")) ?? "") }
                async let working = stage.work([flow])
                let asked = try #require(try await open(client, batch).first)
                let long = String(repeating: "\u{1}", count: 30_000)
                let error = await #expect(throws: SheafError.self) {
                    try await client.answer(asked.task, with: long, by: "anna")
                }
                #expect(error?.code == .invalid && error?.message.contains("the limit is") == true)
                _ = try await client.answer(asked.task, with: "because", by: "anna")
                #expect(try await working.succeeded == 1)
            }
        }
    }

    @Test("A reader of questions begins at the newest checkpoint", arguments: BrokerKind.allCases)
    func checkpointsHaveQuestions(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan { $0.options.isInteractive = true }, records: records(2))
                let log = client.names.results(batch: batch.id)
                let ids = (0..<2).map { QuestionID(index: $0, generation: 0, number: 1) }
                let events: [(Int, QuestionEntry.Event)] = [
                    (0, .asked(Self.question)), (1, .asked(Self.question)), (0, .answered("no")),
                ]
                for (index, event) in events {
                    let entry = QuestionEntry(id: ids[index], at: .now, by: "w", event: event)
                    try await client.broker.append(entry.message(batch: batch.id), to: log)
                }
                let journal = try await Journal.read(from: client)
                let info = try #require(journal[batch.id])
                let timing = AggregatorTiming(checkpointEvery: 1)
                let progress = try await Aggregator(client: client, journal: journal, timing: timing).foldOnce([info])
                #expect(progress[batch.id]?.questions == 1)

                let broker = CountingBroker(client.broker, log: log)
                let counted = try await SheafClient(broker: broker, namespace: stage.namespace)
                let reader = FoldFollower(client: counted, journal: journal, batch: batch.id)
                let state = try await reader.catchUp()
                #expect(state.questions[ids[0]]?.answer?.value == "no")
                #expect(state.questions.open.map(\.id) == [ids[1]])
                #expect(Set(broker.read.map(\.message.type)) == [ResultMessage.checkpointType])

                // A user that waits later does not read what a newer checkpoint covers.
                let entry = QuestionEntry(id: ids[1], at: .now, by: "w", event: .answered("yes"))
                let entries = Array(repeating: entry.message(batch: batch.id), count: 100)
                try await client.broker.append(entries, to: log)
                let aggregator = Aggregator(client: client, journal: journal, timing: timing)
                _ = try await aggregator.foldOnce([info])
                let before = broker.read.count
                let answer = try await reader.wait { $0.questions[ids[1]]?.answer }
                #expect(answer.value == "yes")
                #expect(Set(broker.read.dropFirst(before).map(\.message.type)) == [ResultMessage.checkpointType])
            }
        }
    }

    @Test("A task that has an outcome asks no more", arguments: BrokerKind.allCases)
    func overtakenTasks(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan { $0.options.isInteractive = true }, records: records(1))
                let flow = try asking(Gauge())
                async let working = stage.work([flow])
                _ = try await open(client, batch)
                // Another worker had the same task, and was faster.
                let record = Record(id: "r0", kind: .json, bytes: Array("1".utf8))
                let task = BatchTask(flow: batch.flow, batch: batch.id, index: 0, record: record)
                try await client.note(.succeeded, of: task)
                let report = try await working
                #expect(report.finished == 0)
                let outcomes = try await client.allResults(batch.id)
                #expect(outcomes.map(\.worker) == ["hand"])
                let written = try await client.entries(of: client.names.results(batch: batch.id))
                let all = written.flatMap { ResultMessage.outcomes(of: $0.message) }
                #expect(all.count == 1)
            }
        }
    }

    @Test("An answer counts although the task ends directly after it", arguments: BrokerKind.allCases)
    func answersAreCountedInOrder(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan { $0.options.isInteractive = true }, records: records(1))
                let log = client.names.results(batch: batch.id)
                let id = QuestionID(index: 0, generation: 0, number: 1)
                let reader = FoldFollower(
                    client: client,
                    journal: try await Journal.read(from: client),
                    batch: batch.id
                )
                try await reader.append(QuestionEntry(id: id, at: .now, by: "w", event: .asked(Self.question)))
                #expect(try await reader.catchUp().questions.openCount == 1)
                let record = Record(id: "r0", kind: .json, bytes: Array("1".utf8))
                let ending = EndingBroker(client.broker, log: log) {
                    try await client.note(
                        .succeeded,
                        of: BatchTask(flow: batch.flow, batch: batch.id, index: 0, record: record)
                    )
                }
                let quick = try await SheafClient(broker: ending, namespace: stage.namespace)
                let given = try await quick.answer("\(batch.id):0", with: "no", by: "anna")
                #expect(given.answer == "no" && given.question.id == id)
                let late = await #expect(throws: SheafError.self) {
                    try await client.answer("\(batch.id):0", with: "yes", by: "a second person")
                }
                #expect(late?.code == .alreadyFinished)
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

/// A broker that records the entries that its readers of a log get.
private final class CountingBroker: BrokerWrapper {
    private struct Reader: LogReader {
        let inner: any LogReader
        let broker: CountingBroker

        func next() async throws -> LogChunk? {
            let chunk = try await inner.next()
            broker.entries.withLock { $0 += chunk?.entries ?? [] }
            return chunk
        }

        func cancel() async { await inner.cancel() }
    }

    let inner: any Broker
    private let log: String
    private let entries = Mutex<[LogEntry]>([])

    init(_ inner: any Broker, log: String) { (self.inner, self.log) = (inner, log) }

    /// All entries that were read, in order.
    var read: [LogEntry] { entries.withLock { $0 } }

    func read(_ log: String, from position: LogPosition) async throws -> any LogReader {
        let reader = try await inner.read(log, from: position)
        return log == self.log ? Reader(inner: reader, broker: self) : reader
    }
}

/// A broker that calls a function directly after each append to a log.
private final class EndingBroker: BrokerWrapper {
    let inner: any Broker
    private let log: String
    private let body: @Sendable () async throws -> Void

    init(_ inner: any Broker, log: String, _ body: @escaping @Sendable () async throws -> Void) {
        (self.inner, self.log, self.body) = (inner, log, body)
    }

    func append(_ messages: [Message], to log: String) async throws {
        try await inner.append(messages, to: log)
        if log == self.log { try await body() }
    }
}
