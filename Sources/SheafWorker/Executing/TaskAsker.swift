import Logging
import SheafBatches
import SheafBroker
public import SheafCore
import SheafFlows
import Synchronization

/// Asks the questions of one attempt through the batch's results log and through the worker's own prompt.
final class TaskAsker: FlowAsker {
    private struct State {
        var asked = 0
        /// The questions that this attempt waits for.
        var open: Set<QuestionID> = []
        var interruption: Interruption?
    }

    /// Why an attempt ended without the answer that it waited for, so that it has no outcome.
    enum Interruption {
        /// The worker leaves; the question stays open.
        case leaving
        /// The task got its outcome from another delivery.
        case overtaken
    }

    private let client: SheafClient
    private let questions: FoldFollower
    private let task: BatchTask
    private let worker: String
    private let timeout: Duration?
    private let lifecycle: WorkerLifecycle
    private let prompts: PromptQueue?
    private let withdrawalPatience: Duration
    private let state = Mutex(State())

    init(
        client: SheafClient,
        questions: FoldFollower,
        task: BatchTask,
        worker: String,
        timeout: Duration?,
        lifecycle: WorkerLifecycle,
        prompts: PromptQueue?,
        withdrawalPatience: Duration
    ) {
        self.client = client
        self.questions = questions
        self.task = task
        self.worker = worker
        self.timeout = timeout
        self.lifecycle = lifecycle
        self.prompts = prompts
        self.withdrawalPatience = withdrawalPatience
    }

    /// Why the attempt ended without an answer, or nil if it did not.
    var interruption: Interruption? { state.withLock { $0.interruption } }

    func ask(_ question: Question) async throws -> String {
        let id = state.withLock { state in
            state.asked += 1
            return QuestionID(index: task.index, generation: task.generation, number: state.asked)
        }
        let entry = QuestionEntry(id: id, at: .now, by: worker, event: .asked(question))
        try Self.check(entry, "question", of: task.batch)
        state.withLock { _ = $0.open.insert(id) }
        // Also if an earlier attempt asked it: this opens it again if it was withdrawn, and changes no answer.
        try await questions.append(entry)
        client.logger.info("task \(task.id) asks a question")
        let answer = try await answer(to: question, entry)
        state.withLock { _ = $0.open.remove(id) }
        return answer
    }

    private static func check(_ entry: QuestionEntry, _ what: String, of batch: Name) throws {
        let size = entry.message(batch: batch).body.count
        if size <= QuestionEntry.maximumSize { return }
        throw FlowError(
            type: "question",
            message: "the \(what) has \(size) bytes as JSON, but at most \(QuestionEntry.maximumSize) are allowed"
        )
    }

    /// Withdraws the questions that are still open, once the attempt has ended by itself.
    func withdraw() async {
        let (client, questions, worker, task) = (client, questions, worker, task.id)
        for id in state.withLock({ $0.open }) {
            do {
                _ = try await within(withdrawalPatience) {
                    try await questions.append(QuestionEntry(id: id, at: .now, by: worker, event: .withdrawn))
                }
            } catch {
                client.logger.debug("cannot withdraw a question of task \(task): \(error)")
            }
        }
    }

    private func answer(to question: Question, _ entry: QuestionEntry) async throws -> String {
        let (questions, lifecycle, prompts) = (questions, lifecycle, prompts)
        let (timeout, task, batch, worker, id) = (timeout, task, task.batch, worker, entry.id)
        enum End: Sendable {
            case answer(String)
            case late, prompted
            case interrupted(Interruption)
        }
        return try await withThrowingTaskGroup(of: End.self) { group in
            group.addTask {
                try await questions.wait { state in
                    if let answer = state.questions[id]?.answer { return .answer(answer.value) }
                    return state.hasEnded(id) ? .interrupted(.overtaken) : nil
                }
            }
            group.addTask {
                await lifecycle.waitUntilLeaving()
                try Task.checkCancellation()
                return .interrupted(.leaving)
            }
            if let timeout {
                group.addTask {
                    try await Task.sleep(for: timeout)
                    return .late
                }
            }
            if let prompts {
                group.addTask {
                    // An earlier attempt may have got the answer: wait until the log was read this far.
                    _ = try await questions.wait { state -> Timestamp? in
                        guard case .open(_, let asker, let time) = state.questions[id] else { return nil }
                        return asker == worker && time == entry.at ? time : nil
                    }
                    if let answer = try await prompts.ask(question, of: task.id) {
                        let entry = QuestionEntry(id: id, at: .now, by: worker, event: .answered(answer))
                        try Self.check(entry, "answer", of: batch)
                        try await questions.append(entry)
                    }
                    return .prompted
                }
            }
            defer { group.cancelAll() }
            while let end = try await group.next() {
                switch end {
                case .answer(let answer): return answer
                case .prompted: continue  // the log decides which answer was the first
                case .late:
                    throw FlowError(
                        type: "unanswered",
                        message:
                            "the question was not answered in \(timeout.map { "\($0)" } ?? "time"): \(question.text)"
                    )
                case .interrupted(let interruption):
                    state.withLock { $0.interruption = interruption }
                    throw CancellationError()
                }
            }
            throw CancellationError()
        }
    }
}

/// Asks a person at the worker directly, for example at its terminal.
public protocol QuestionPrompt: Sendable {
    /// Asks a question of a task and waits for the answer; returns nil if there will be none.
    ///
    /// The calling task is cancelled if the answer came from elsewhere meanwhile; throw `CancellationError` then. It
    /// is never called twice at a time.
    func ask(_ question: Question, of task: String) async throws -> String?
}

/// Asks one question after the other.
actor PromptQueue {
    private let prompt: any QuestionPrompt
    private var isBusy = false
    private let freed = Changes()

    init(_ prompt: any QuestionPrompt) { self.prompt = prompt }

    func ask(_ question: Question, of task: String) async throws -> String? {
        for await _ in freed.stream() where !isBusy { break }
        try Task.checkCancellation()
        // No other question can have come in between: there was no suspension since the check.
        isBusy = true
        defer {
            isBusy = false
            freed.notify()
        }
        return try await prompt.ask(question, of: task)
    }
}
