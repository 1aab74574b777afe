import Logging
import SheafCore
import Subprocess

/// Why a child gave no answer.
enum ProcessFailure: Error {
    /// The task failed, as the child says; it may have another.
    case said(FlowError)
    /// It has ended, or closed its input or output.
    case closed
}

extension ProcessFlow {
    /// How many lines of a task go to the log.
    private static let maximumLogLines = 1_000

    /// Listens to a child until it has answered.
    func converse(with child: LineChild, about task: FlowTask) async throws -> FlowOutput {
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
            case .closed: throw ProcessFailure.closed
            case .lineTooLong:
                throw FlowError(
                    type: "output-too-large",
                    message:
                        "a line of more than \(maximumOutput) bytes was written to standard output; max_output sets the limit"
                )
            case .line(let line):
                if line.allSatisfy({ $0 == 0x20 || 0x09...0x0D ~= $0 }) { continue }
                switch try ProcessReply(line: line, task: task.id) {
                case .output(let output): return output
                case .failed(let error): throw ProcessFailure.said(error)
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

    /// Puts a failure into words, and sees to the child.
    func explain(_ failure: ProcessFailure, of child: LineChild) async throws -> FlowError {
        if case .said(let error) = failure {
            release(child)
            return error
        }
        pool.drop(child, .retired)
        let what: String
        switch await child.fate() {
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
