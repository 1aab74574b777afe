import Logging
import SheafCore
import Subprocess

/// A child has ended, or closed its input or output, before it answered.
struct ChildClosed: Error {}

extension ProcessFlow {
    /// How many lines of a task go to the log.
    private static let maximumLogLines = 1_000

    /// Has a child answer tasks for as long as it has some and more are at hand, and takes those out that it has answered.
    ///
    /// It always has about as many in its input as it may have at once. They are handed over in parts, so that it need not wait
    /// until all are prepared.
    ///
    /// - Returns: Whether it has answered any.
    func hand(
        _ rest: inout [FlowTask],
        _ more: @Sendable (Int) -> [FlowTask],
        _ ended: @Sendable (Result<FlowOutput, FlowError>) async -> Void
    ) async throws -> Bool {
        let child = try start()
        var room = maximumTasks.map { max(1, $0 - child.answers) } ?? .max
        // The first ones of the rest.
        var (answered, handed) = (0, 0)
        var ids: [String] = []
        var hasAnswered = false
        defer { rest.removeFirst(answered) }

        func handOver(atMost size: Int) {
            // In one go: each by itself, all behind it would be moved.
            rest.removeFirst(answered)
            ids.removeFirst(answered)
            (answered, handed) = (0, handed - answered)
            let wanted = min(room, size)
            if hasAnswered, rest.count - handed < wanted { rest += more(wanted - (rest.count - handed)) }
            let next = rest[handed...].prefix(wanted)
            if next.isEmpty { return }
            let names = next.map(\.id)
            ids += names
            child.begin(names)
            var lines: [UInt8] = []
            lines.reserveCapacity(next.reduce(0) { $0 + $1.record.bytes.count + 160 })
            for (task, id) in zip(next, names) { TaskLine.write(task, id: id, to: &lines) }
            child.send(lines)
            handed += next.count
            room -= next.count
        }

        do {
            var begun = ContinuousClock.now
            handOver(atMost: groupSize)
            while answered < handed {
                let (answer, namesTask) = try await converse(with: child, about: rest[answered], ids[answered])
                if !namesTask {
                    // A second answer to one task would be taken for the answer to the next.
                    pool.forbidGroups()
                    if handed > answered + 1 {
                        await cutOff(child)
                        return hasAnswered
                    }
                }
                // The first one ever waits for the program to start.
                let (answers, unanswered) = child.noteAnswer()
                if answers > 1 { pool.note(.now - begun) }
                answered += 1
                hasAnswered = true
                // What it has answered already, and nobody has looked at yet, does not keep it busy.
                let size = groupSize
                let part = max(1, size / 4)
                // Lines for the log are taken for answers at first.
                if size > 1, size - unanswered >= part, handed - answered < 2 * size { handOver(atMost: part) }
                if answered == handed { release(child) }
                await ended(answer)
                begun = .now
            }
            return true
        } catch is ChildClosed {
            pool.separateTasks()
            pool.drop(child, .retired)
            let fate = await child.fate()
            // A program that ends by itself between two tasks does so because of none.
            if case .ended(.exited(0), byUs: false) = fate, hasAnswered { return true }
            throw explain(fate, child)
        } catch let repetition as ProcessReply.Repetition {
            logger.warning(
                "task \(repetition.task): the program answered a second time; it is ended, and another is started"
            )
            await cutOff(child)
            return hasAnswered
        } catch {
            pool.separateTasks()
            if handed > answered + 1 {
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
        about task: FlowTask,
        _ id: String
    ) async throws -> (result: Result<FlowOutput, FlowError>, namesTask: Bool) {
        var logged = 0
        func log(_ level: Logger.Level, _ text: @autoclosure () -> String) {
            logged += 1
            if logged > Self.maximumLogLines { return }
            logger.log(level: level, "task \(id): \(text())")
            if logged == Self.maximumLogLines { logger.warning("task \(id): what else it logs is left out") }
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
                let reply = try ProcessReply(line: line, task: id) { child.answered }
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
        case .ended(.exited(let code), byUs: false): what = "ended with exit code \(code)"
        case .ended(.signaled(let number), byUs: false): what = "was ended by \(SignalName.of(number))"
        case .ended(_, byUs: true), nil: what = "closed its input or output"
        }
        let words = ProcessEnding.words(of: child.lastWords)
        return FlowError(
            type: "process-ended",
            message: "the program \(what) before it answered\(words)",
            isRetryable: true
        )
    }
}
