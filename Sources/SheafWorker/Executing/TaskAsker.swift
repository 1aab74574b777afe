import Logging
import SheafBatches
import SheafBroker
public import SheafCore
import SheafFlows
import Synchronization

/// Asks the questions of one attempt through the batch's log and through the worker's own prompt.
final class TaskAsker: FlowAsker {
    private struct State {
        var asked = 0
        /// The questions that this attempt waits for.
        var open: Set<QuestionID> = []
        var wasInterrupted = false
    }

    private let client: SheafClient
    private let task: BatchTask
    private let worker: String
    private let timeout: Duration?
    private let lifecycle: WorkerLifecycle
    private let prompts: PromptQueue?
    private let withdrawalPatience: Duration
    private let state = Mutex(State())

    init(
        client: SheafClient,
        task: BatchTask,
        worker: String,
        timeout: Duration?,
        lifecycle: WorkerLifecycle,
        prompts: PromptQueue?,
        withdrawalPatience: Duration
    ) {
        self.client = client
        self.task = task
        self.worker = worker
        self.timeout = timeout
        self.lifecycle = lifecycle
        self.prompts = prompts
        self.withdrawalPatience = withdrawalPatience
    }

    /// Whether a question was left open because the worker leaves, so that the task returns to its queue instead of
    /// failing.
    var wasInterrupted: Bool { state.withLock { $0.wasInterrupted } }

    func ask(_ question: Question) async throws -> String {
        let entry = QuestionEntry.Event.asked(question)
        let id = state.withLock { state in
            state.asked += 1
            return QuestionID(index: task.index, generation: task.generation, number: state.asked)
        }
        let size = QuestionEntry(id: id, at: .now, by: worker, event: entry).message.body.count
        guard size <= QuestionEntry.maximumSize else {
            throw FlowError(
                type: "question",
                message: "the question has \(size) bytes, but at most \(QuestionEntry.maximumSize) are allowed"
            )
        }
        let log = QuestionLog(client: client, batch: task.batch)
        let (known, offset) = try await log.read()
        if let answer = known[id]?.answer { return answer.value }
        state.withLock { _ = $0.open.insert(id) }
        // The same question is not asked twice; one that was withdrawn has to be opened again.
        if known[id]?.isOpen != true || known[id]?.question != question {
            try await log.append(entry, to: id, by: worker)
        }
        client.logger.info("task \(task.id) waits for an answer to its question")
        let answer = try await answer(to: question, id, log, known, offset)
        state.withLock { _ = $0.open.remove(id) }
        return answer
    }

    /// Withdraws the questions that are still open, once the attempt has ended by itself.
    func withdraw() async {
        let log = QuestionLog(client: client, batch: task.batch)
        let (client, worker, id) = (client, worker, task.id)
        for question in state.withLock({ $0.open }) {
            do {
                _ = try await within(withdrawalPatience) { try await log.append(.withdrawn, to: question, by: worker) }
            } catch {
                client.logger.debug("cannot withdraw a question of task \(id): \(error)")
            }
        }
    }

    private func answer(
        to question: Question,
        _ id: QuestionID,
        _ log: QuestionLog,
        _ known: QuestionState,
        _ offset: Int64
    ) async throws -> String {
        let (lifecycle, prompts, timeout, task, worker) = (lifecycle, prompts, timeout, task, worker)
        enum End: Sendable {
            case answer(String)
            case late, leaving, prompted
        }
        return try await withThrowingTaskGroup(of: End.self) { group in
            group.addTask {
                guard let answer = try await log.answer(to: id, from: offset, in: known) else {
                    throw CancellationError()
                }
                return .answer(answer)
            }
            group.addTask {
                await lifecycle.waitUntilLeaving()
                try Task.checkCancellation()
                return .leaving
            }
            if let timeout {
                group.addTask {
                    try await Task.sleep(for: timeout)
                    return .late
                }
            }
            if let prompts {
                group.addTask {
                    if let answer = try await prompts.ask(question, of: task.id) {
                        try await log.append(.answered(answer), to: id, by: worker)
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
                case .leaving:
                    state.withLock { $0.wasInterrupted = true }
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
