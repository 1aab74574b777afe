import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows
import Synchronization

/// Brings the questions of one attempt to people, through the batch's log and the worker's own terminal.
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
    private let state: WorkerState
    private let prompter: PromptQueue?
    private let contents = Mutex(State())

    init(
        client: SheafClient,
        task: BatchTask,
        worker: String,
        timeout: Duration?,
        state: WorkerState,
        prompter: PromptQueue?
    ) {
        self.client = client
        self.task = task
        self.worker = worker
        self.timeout = timeout
        self.state = state
        self.prompter = prompter
    }

    /// Whether a question was left open because the worker leaves, so that the task goes back instead of failing.
    var wasInterrupted: Bool { contents.withLock { $0.wasInterrupted } }

    func ask(_ question: Question) async throws -> String {
        let entry = QuestionEntry.Event.asked(question)
        let id = contents.withLock { contents in
            contents.asked += 1
            return QuestionID(index: task.index, generation: task.generation, number: contents.asked)
        }
        let size = QuestionEntry(id: id, at: .now, by: worker, event: entry).message.body.count
        guard size <= QuestionEntry.maximumSize else {
            throw FlowError(
                type: "question",
                message: "the question has \(size) bytes; \(QuestionEntry.maximumSize) are allowed"
            )
        }
        let log = QuestionLog(client: client, batch: task.batch)
        let (known, offset) = try await log.read()
        if let answer = known[id]?.answer { return answer.value }
        contents.withLock { _ = $0.open.insert(id) }
        // Asked again it is the same question; only one that nobody waits for any more has to be opened again.
        if known[id]?.isOpen != true || known[id]?.question != question {
            try await log.append(entry, to: id, by: worker)
        }
        client.logger.info("task \(task.id) waits for an answer: 'sheaf answer \(task.id) VALUE'")
        let answer = try await answer(to: question, id, log, known, offset)
        contents.withLock { _ = $0.open.remove(id) }
        return answer
    }

    /// Takes back what nobody waits for any more, once the attempt has ended by itself.
    func withdraw() async {
        let log = QuestionLog(client: client, batch: task.batch)
        let (client, worker, id) = (client, worker, task.id)
        for question in contents.withLock({ $0.open }) {
            do {
                _ = try await within(.seconds(2)) { try await log.append(.withdrawn, to: question, by: worker) }
            } catch {
                client.logger.debug("a question of task \(id) is not withdrawn: \(error)")
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
        let (state, prompter, timeout, task, worker) = (state, prompter, timeout, task, worker)
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
                await state.waitUntilLeaving()
                try Task.checkCancellation()
                return .leaving
            }
            if let timeout {
                group.addTask {
                    try await Task.sleep(for: timeout)
                    return .late
                }
            }
            if let prompter {
                group.addTask {
                    if let answer = try await prompter.ask(question, of: task.id) {
                        try await log.append(.answered(answer), to: id, by: worker)
                    }
                    return .prompted
                }
            }
            defer { group.cancelAll() }
            while let end = try await group.next() {
                switch end {
                case .answer(let answer): return answer
                case .prompted: continue  // whose answer was the first, the log tells
                case .late:
                    throw FlowError(
                        type: "unanswered",
                        message: "nobody has answered within \(timeout.map { "\($0)" } ?? "time"): \(question.text)"
                    )
                case .leaving:
                    contents.withLock { $0.wasInterrupted = true }
                    throw CancellationError()
                }
            }
            throw CancellationError()
        }
    }
}
