package import Logging
import SheafCore
import Subprocess

/// Gives tasks as JSON lines to a program that is started once and lives for many of them.
///
/// - Each running task has a child process to itself. Children are started when they are needed, and replaced when they
///   have died. A child without a task waits for the next one. When the worker ends, the child's standard input is
///   closed; a child that then goes on gets SIGTERM after a second.
/// - A task is one line on standard input: `{"task_id", "record_id", "record", "parameters", "attempt"}`. The child
///   answers with one line on standard output, `{"output": …}` or `{"error": {"type", "message", "retryable"}}`. Before
///   that it may write any number of `{"log": …}` and `{"progress": …}`, and `{"ask": {"question", "choices",
///   "default"}}`, to which it gets the line `{"answer": …}`. Standard error goes to the log.
/// - A child that answers fast, and repeats the `task_id` in each answer, is handed several tasks at once, see
///   ``SerialFlow``. It still works on one after the other.
/// - A child that breaks these rules, or whose task timed out or was cancelled, is ended with all it started.
/// - A task fails with the error that the child reports, or with `process-ended`, which may be retried, `protocol`,
///   `output-too-large`, `not-found`, `spawn`, `template` or `not-interactive`.
package struct ProcessFlow: SerialFlow, LoggingFlow, ExaminableFlow {
    /// The program and its arguments.
    package let arguments: [String]
    /// The number of tasks after which a child is replaced; nil means that it never is.
    package let maximumTasks: Int?
    /// The most bytes of one line that a child writes.
    package let maximumOutput: Int
    /// The log for standard error and the log lines of children.
    package var logger = Logger(label: "sheaf")

    private let command: ProgramCommand
    /// How long a child and all it started have time to end.
    var patience = ProcessLifecycle.Patience()
    let pool = ChildPool()

    /// Defines a flow.
    ///
    /// - Parameters:
    ///   - command: The program and its arguments; none of them is a template, since the program serves many tasks.
    ///   - directory: The folder to run in.
    ///   - environment: Variables that override those of the worker.
    ///   - withheldVariables: Variables of the worker that the program does not receive.
    ///   - maximumTasks: The number of tasks after which a child is replaced.
    ///   - maximumOutput: The most bytes of one line that a child writes.
    /// - Throws: ``FlowConfigurationProblem`` if the flow is invalid.
    package init(
        _ command: [String],
        directory: String = ".",
        environment: [String: String] = [:],
        withheldVariables: Set<String> = ExecFlow.defaultWithheldVariables,
        maximumTasks: Int? = nil,
        maximumOutput: Int = ExecFlow.defaultMaximumOutput
    ) throws(FlowConfigurationProblem) {
        guard let program = command.first else {
            throw FlowConfigurationProblem(.arguments, "it is empty; the first item is the program")
        }
        if program.isEmpty { throw FlowConfigurationProblem(.argument(0), "the program has no name") }
        for (position, text) in command.enumerated() {
            if text.utf8.contains(0) { throw FlowConfigurationProblem(.argument(position), "it contains a NUL") }
            if text.contains("{{") {
                throw FlowConfigurationProblem(
                    .argument(position),
                    "templates are not allowed here: the program serves many tasks and reads each of them as a line"
                )
            }
        }
        try ProgramCommand.check(environment: environment)
        self.command = ProgramCommand(
            program: program,
            directory: directory,
            environment: environment,
            withheldVariables: withheldVariables
        )
        self.arguments = Array(command.dropFirst())
        self.maximumTasks = maximumTasks
        self.maximumOutput = maximumOutput
    }

    /// How many tasks a child may be handed at once, so that it does not wait for the next one.
    package var groupSize: Int { min(pool.groupSize, maximumTasks ?? .max) }

    /// Hands tasks to a child, which works on one after the other; the next child gets those that it leaves.
    package func run(
        _ tasks: ArraySlice<FlowTask>,
        more: @Sendable (Int) -> [FlowTask],
        ended: @Sendable (Result<FlowOutput, FlowError>) async -> Void
    ) async throws {
        var rest = Array(tasks)
        var hasBegun = false
        repeat {
            if try await runInChild(&rest, more, ended) { hasBegun = true }
            // If groups have become smaller meanwhile, a free slot may take the rest sooner.
        } while !rest.isEmpty && (!hasBegun || rest.count <= groupSize)
    }

    /// Looks for the program and its folder.
    package func examine() -> FlowExamination { command.examine() }

    /// Ends all children.
    package func shutDown() async { await pool.close() }

    private func start() throws(FlowError) -> LineChild {
        while let child = pool.take() {
            if child.isUsable { return child }
            retire(child)
        }
        let configuration = try command.configuration(arguments: arguments)
        do {
            return try LineChild(configuration, maximumLine: maximumOutput, patience: patience) {
                [weak pool] line, source in
                // If tasks come one by one, it is known which task wrote a line.
                pool?.separateTasks()
                logger.info("\(source): \(line)")
            }
        } catch {
            throw command.explain(error)
        }
    }

    private func release(_ child: LineChild) {
        if child.isReusable(limit: maximumTasks) { pool.keep(child) } else { retire(child) }
    }

    private func retire(_ child: LineChild) {
        if child.hasUnreadOutput, let task = child.answered {
            logger.warning(
                """
                task \(task): the program wrote more than its answer, which could be mistaken for the answer to another \
                task; it is ended, and another is started
                """
            )
        }
        pool.drop(child, .retired)
    }
}

extension LineChild.ErrorSource: CustomStringConvertible {
    /// The source as it is shown in a log.
    var description: String {
        switch self {
        case .nothing: "a program without a task"
        case .task(let id): "task \(id)"
        case .tasks(let first, let last): "a task from \(first) to \(last)"
        }
    }
}

/// A child has ended, or closed its input or output, before it answered.
private struct ChildClosed: Error {}

extension ProcessFlow {
    /// How many lines of one task go to the log.
    private static let maximumLogLines = 1_000

    /// Lets one child answer tasks until no more are at hand, and removes those that it has answered.
    ///
    /// The child always has about as many tasks in its input as it may have at once. They are handed over in parts, so
    /// that it does not wait until all are prepared.
    ///
    /// - Returns: Whether the child has answered any task.
    private func runInChild(
        _ rest: inout [FlowTask],
        _ more: @Sendable (Int) -> [FlowTask],
        _ ended: @Sendable (Result<FlowOutput, FlowError>) async -> Void
    ) async throws -> Bool {
        let child = try start()
        var room = maximumTasks.map { max(1, $0 - child.answers) } ?? .max
        // The child has been handed the first ones of the rest.
        var (answered, handed) = (0, 0)
        var ids: [String] = []
        var hasAnswered = false
        defer { rest.removeFirst(answered) }

        func handOver(atMost size: Int) {
            // All at once: removing each by itself would move all that follow each time.
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
            for (task, id) in zip(next, names) { task.write(id: id, to: &lines) }
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
                    // A second answer to one task would be mistaken for the answer to the next.
                    pool.forbidGroups()
                    if handed > answered + 1 {
                        await cutOff(child)
                        return hasAnswered
                    }
                }
                // The time of the first answer includes the start of the program.
                let (answers, unanswered) = child.noteAnswer()
                if answers > 1 { pool.note(.now - begun) }
                answered += 1
                hasAnswered = true
                // Tasks whose answers are here, but not yet looked at, do not keep the child busy.
                let size = groupSize
                let part = max(1, size / 4)
                // `unanswered` takes lines for the log for answers, so what was handed over needs a limit of its own.
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
            // If a program ends by itself between two tasks, neither of them is to blame.
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
                // Anything it still writes would be mistaken for the answer to another task.
                pool.drop(child, .killed)
                if error is CancellationError { _ = await child.fate() }
            }
            throw error
        }
    }

    /// Kills a child whose input holds tasks that another child is to get, and waits for its end.
    private func cutOff(_ child: LineChild) async {
        pool.drop(child, .cutOff)
        _ = await child.fate()
    }

    /// Reads a child's lines until it has answered a task.
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
            if logged == Self.maximumLogLines { logger.warning("task \(id): further log lines are omitted") }
        }
        while true {
            switch await child.next() {
            case .cancelled: throw CancellationError()
            case .closed: throw ChildClosed()
            case .lineTooLong:
                throw FlowError(
                    type: FlowError.outputTooLargeType,
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
                    it asks '\(question.text)', but its batch is not interactive; create the batch with --interactive
                    """
            )
        }
        var line = Array("{\"answer\":".utf8)
        JSON.write(try await asker.ask(question), to: &line)
        line.append(contentsOf: "}\n".utf8)
        return line
    }

    /// Describes the end of a child.
    private func explain(_ fate: LineChild.Fate?, _ child: LineChild) -> FlowError {
        let what: String
        switch fate {
        case .notStarted(let error as SubprocessError): return command.explain(error)
        case .notStarted(let error): return FlowError(wrapping: error)
        case .ended(.exited(let code), byUs: false): what = "ended with exit code \(code)"
        case .ended(.signaled(let number), byUs: false): what = "was ended by \(SignalName.of(number))"
        case .ended(_, byUs: true), nil: what = "closed its input or output"
        }
        let errors = ProcessEnding.suffix(errors: child.errorTail)
        return FlowError(
            type: "process-ended",
            message: "the program \(what) before it answered\(errors)",
            isRetryable: true
        )
    }
}

extension FlowTask {
    /// Appends the line with which a child is handed this task, with its line break.
    fileprivate func write(id: String, to line: inout [UInt8]) {
        func field(_ name: String) { line.append(contentsOf: name.utf8) }
        field("{\"task_id\":")
        JSON.write(id, to: &line)
        field(",\"record_id\":")
        JSON.write(record.id, to: &line)
        field(",\"record\":")
        record.writeJSON(to: &line)
        field(",\"parameters\":")
        parameters.write(to: &line)
        field(",\"attempt\":\(attempt)")
        if let trace {
            field(",\"traceparent\":\"\(trace.traceParent)\"")
            if let state = trace.traceState {
                field(",\"tracestate\":")
                JSON.write(state, to: &line)
            }
        }
        field("}\n")
    }
}
