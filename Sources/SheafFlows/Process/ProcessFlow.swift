public import Logging
import SheafCore

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
