import Logging
import SheafCore
import Subprocess

/// A child has ended, or closed its input or output, before it answered.
struct ChildClosed: Error {}

extension ProcessFlow {
    /// How many lines of a task go to the log.
    private static let maximumLogLines = 1_000

    /// Hands a child as many of the tasks as it may have at once, and takes those out that it has answered.
    func hand(
        _ rest: inout ArraySlice<FlowTask>,
        _ ended: @Sendable (Result<FlowOutput, FlowError>) async -> Void
    ) async throws {
        let child = try start()
        let room = maximumTasks.map { max(1, $0 - child.answers) } ?? rest.count
        let handed = rest.prefix(min(room, groupSize))
        do {
            var begun = ContinuousClock.now
            child.begin(handed.map(\.id))
            child.send(handed.flatMap(TaskLine.of))
            for task in handed {
                let (answer, namesTask) = try await converse(with: child, about: task)
                if !namesTask {
                    // A second answer to one task would be taken for the answer to the next.
                    pool.forbidGroups()
                    if handed.count > 1 { return await cutOff(child) }
                }
                // The first one ever waits for the program to start.
                if child.noteAnswer() > 1 { pool.note(.now - begun) }
                rest.removeFirst()
                if rest.startIndex == handed.endIndex { release(child) }
                await ended(answer)
                begun = .now
            }
        } catch is ChildClosed {
            pool.separateTasks()
            pool.drop(child, .retired)
            let fate = await child.fate()
            // A program that ends by itself between two tasks does so because of none.
            if case .ended(.exited(0)) = fate, rest.startIndex > handed.startIndex { return }
            throw explain(fate, child)
        } catch {
            pool.separateTasks()
            if rest.startIndex + 1 < handed.endIndex {
                await cutOff(child)
            } else {
                // Whatever it still says would be taken for the answer to another task.
                pool.drop(child, .killed)
                if error is CancellationError { _ = await child.fate() }
            }
            throw error
        }
    }

    /// Ends a child at once that has tasks in its input which another is to get, and waits for its end.
    private func cutOff(_ child: LineChild) async {
        pool.drop(child, .cutOff)
        _ = await child.fate()
    }

    /// Listens to a child until it has answered.
    private func converse(
        with child: LineChild,
        about task: FlowTask
    ) async throws -> (result: Result<FlowOutput, FlowError>, namesTask: Bool) {
        var logged = 0
        func log(_ level: Logger.Level, _ text: @autoclosure () -> String) {
            logged += 1
            if logged > Self.maximumLogLines { return }
            logger.log(level: level, "task \(task.id): \(text())")
            if logged == Self.maximumLogLines { logger.warning("task \(task.id): what else it logs is left out") }
        }
        while true {
            switch await child.next() {
            case .cancelled: throw CancellationError()
            case .closed: throw ChildClosed()
            case .lineTooLong:
                throw FlowError(
                    type: "output-too-large",
                    message:
                        "a line of more than \(maximumOutput) bytes was written to standard output; max_output sets the limit"
                )
            case .line(let line):
                if line.allSatisfy({ $0 == 0x20 || 0x09...0x0D ~= $0 }) { continue }
                let reply = try ProcessReply(line: line, task: task.id)
                switch reply.content {
                case .output(let output): return (.success(output), reply.namesTask)
                case .failed(let error): return (.failure(error), reply.namesTask)
                case .log(let level, let text): log(level, text)
                case .progress(let text): log(.debug, "progress \(text)")
                case .ask(let question): child.send(try await answer(to: question, of: task))
                }
            }
        }
    }

    private func answer(to question: Question, of task: FlowTask) async throws -> [UInt8] {
        guard let asker = task.asker else {
            throw FlowError(
                type: "not-interactive",
                message: """
                    it asks '\(question.text)', and nobody is asked in this batch; create it with --interactive
                    """
            )
        }
        var line = Array("{\"answer\":".utf8)
        JSON.write(try await asker.ask(question), to: &line)
        line.append(contentsOf: "}\n".utf8)
        return line
    }

    /// Puts the end of a child into words.
    private func explain(_ fate: LineChild.Fate?, _ child: LineChild) -> FlowError {
        let what: String
        switch fate {
        case .notStarted(let error as SubprocessError): return command.explain(error)
        case .notStarted(let error): return FlowError(wrapping: error)
        case .ended(.exited(let code)): what = "ended with exit code \(code)"
        case .ended(.signaled(let number)): what = "was ended by \(SignalName.of(number))"
        case nil: what = "ended"
        }
        let words = ProcessEnding.words(of: child.lastWords)
        return FlowError(
            type: "process-ended",
            message: "the program \(what) or closed its output before it answered\(words)",
            isRetryable: true
        )
    }
}
