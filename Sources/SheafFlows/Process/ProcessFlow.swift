public import Logging
import SheafCore
import Subprocess

/// Gives tasks to a program that is started once and lives for many of them, as JSON lines.
///
/// - Each task that runs has a child of its own; children are started when they are needed, and started anew when they
///   have died. A child that nobody needs waits. It ends when its standard input does, or gets SIGTERM after a second.
/// - A task is one line on standard input: `{"task_id", "record_id", "record", "parameters", "attempt"}`. The child answers
///   with one line on standard output, `{"output": …}` or `{"error": {"type", "message", "retryable"}}`. Before that it may
///   write any number of `{"log": …}` and `{"progress": …}`, and `{"ask": {"question", "choices", "default"}}`, to which it
///   gets the line `{"answer": …}`. Standard error goes to the log.
/// - A child that answers fast, and repeats the `task_id` in each answer, is handed several tasks at once, see ``SerialFlow``. It
///   answers one after the other all the same.
/// - A child that breaks these rules, or whose task timed out or was cancelled, is ended with all it started.
/// - Failures are what the child says, and `process-ended`, which another attempt may mend, `protocol`,
///   `output-too-large`, `not-found`, `spawn`, `template` and `not-interactive`.
public struct ProcessFlow: SerialFlow, LoggingFlow, ExaminableFlow {
    /// The program and its arguments.
    public let arguments: [String]
    /// After how many tasks a child is replaced; nil means never.
    public let maximumTasks: Int?
    /// The most bytes of one line of a child.
    public let maximumOutput: Int
    /// Where standard error and the log lines of children go.
    public var logger = Logger(label: "sheaf")

    let command: ProgramCommand
    /// How long a child and all it started get to end.
    var patience = ProcessLifecycle.Patience()
    let pool = ChildPool()

    /// Defines a flow.
    ///
    /// - Parameters:
    ///   - command: The program and its arguments; they are no templates, since the program serves many tasks.
    ///   - directory: The folder to run in.
    ///   - environment: Variables laid over those of the worker.
    ///   - withheldVariables: Variables of the worker that the program is not shown.
    ///   - maximumTasks: After how many tasks a child is replaced.
    ///   - maximumOutput: The most bytes of one line of a child.
    /// - Throws: ``FlowConfigurationProblem`` where the flow makes no sense.
    public init(
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
                    "templates have no place here: the program serves many tasks, and reads each of them as a line"
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

    /// How many tasks a child may be handed at once, so that it need not wait for the next one.
    public var groupSize: Int { min(pool.groupSize, maximumTasks ?? .max) }

    /// Has a child work on tasks, one after the other, and others on what is left where it may not have all, or leaves.
    public func run(
        _ tasks: ArraySlice<FlowTask>,
        more: @Sendable (Int) -> [FlowTask],
        ended: @Sendable (Result<FlowOutput, FlowError>) async -> Void
    ) async throws {
        var rest = Array(tasks)
        var hasBegun = false
        repeat {
            if try await hand(&rest, more, ended) { hasBegun = true }
            // What may not be handed over at once any more is better off with whoever is free.
        } while !rest.isEmpty && (!hasBegun || rest.count <= groupSize)
    }

    /// Looks whether the program and its folder are there.
    public func examine() -> FlowExamination { command.examine() }

    /// Ends all children.
    public func shutDown() async { await pool.close() }

    func start() throws(FlowError) -> LineChild {
        while let child = pool.take() {
            if child.isUsable { return child }
            retire(child)
        }
        let configuration = try command.configuration(arguments: arguments)
        do {
            return try LineChild(configuration, maximumLine: maximumOutput, patience: patience) {
                [weak pool] line, source in
                // One by one, it is known which task a line is of.
                pool?.separateTasks()
                logger.info("\(source): \(line)")
            }
        } catch {
            throw command.explain(error)
        }
    }

    func release(_ child: LineChild) {
        if child.isReusable(limit: maximumTasks) { pool.keep(child) } else { retire(child) }
    }

    private func retire(_ child: LineChild) {
        if child.saysTooMuch, let task = child.answered {
            logger.warning(
                """
                task \(task): the program wrote more than its answer, which could be taken for the answer to another task; it is \
                ended, and another is started
                """
            )
        }
        pool.drop(child, .retired)
    }
}

extension LineChild.ErrorSource: CustomStringConvertible {
    /// The source in a log.
    var description: String {
        switch self {
        case .nothing: "a program without a task"
        case .task(let id): "task \(id)"
        case .tasks(let first, let last): "a task from \(first) to \(last)"
        }
    }
}

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

/// A task as a child reads it.
enum TaskLine {
    /// Appends the line of a task, with its line break.
    static func write(_ task: FlowTask, id: String, to line: inout [UInt8]) {
        func field(_ name: String) { line.append(contentsOf: name.utf8) }
        field("{\"task_id\":")
        JSON.write(id, to: &line)
        field(",\"record_id\":")
        JSON.write(task.record.id, to: &line)
        field(",\"record\":")
        task.record.writeJSON(to: &line)
        field(",\"parameters\":")
        task.parameters.write(to: &line)
        field(",\"attempt\":\(task.attempt)}\n")
    }
}
