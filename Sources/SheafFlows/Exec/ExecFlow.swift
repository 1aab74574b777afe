import SheafCore
import Subprocess
import SystemPackage

/// Runs a program for each task, one process each, never through a shell.
///
/// - Arguments are templates, see ``ArgumentTemplate``; each makes exactly one argument, whatever is in the record.
/// - Standard input is the record: JSON on one line, or the content of a line or a file as it is. A program need not
///   read it.
/// - The environment is the worker's without ``withheldVariables``, then ``environment``, then `SHEAF_BATCH_ID`,
///   `SHEAF_TASK_ID`, `SHEAF_TASK_INDEX`, `SHEAF_RECORD_ID`, `SHEAF_ATTEMPT` and `SHEAF_PARAMETERS` (JSON). Only the
///   three standard descriptors are passed on.
/// - Standard output is the output: JSON if all of it is JSON, otherwise a string without its last line break, which
///   may be empty.
/// - An exit code other than 0 is the failure `exit-code` with the end of standard error; with 75 the task may be
///   retried. Other failures are `signal`, `not-found`, `template`, `output-too-large`, `output-not-text` and `spawn`.
/// - The process leads a group of its own. If the task is cancelled or writes too much output, the group gets SIGTERM,
///   and after two seconds SIGKILL. When the process ends, the processes that it started may write for one more second;
///   then, or as soon as none of them can write, the rest of the group gets SIGKILL. Only a process that left the group
///   can outlive its task.
package struct ExecFlow: ExaminableFlow {
    /// The most bytes of output by default.
    package static let defaultMaximumOutput = 1 << 20
    /// The variables that a program does not receive by default, since they may hold credentials.
    package static let defaultWithheldVariables: Set<String> = ["SHEAF_BROKER"]

    /// The program, which is no template: a name that is looked up in `PATH`, or a path.
    package let program: String
    /// The arguments after the program.
    package let arguments: [ArgumentTemplate]
    /// The folder in which the program runs, and from which a path to it is taken.
    package let directory: String
    /// Variables that override those of the worker.
    package let environment: [String: String]
    /// Variables of the worker that the program does not receive.
    package let withheldVariables: Set<String>
    /// The most bytes of output.
    package let maximumOutput: Int
    /// What is doubtful about the definition.
    package let warnings: [FlowConfigurationProblem]

    /// The program without its arguments.
    private let command: ProgramCommand
    /// How long a process and all it started have between SIGTERM and SIGKILL, and how long to wait for the output of a
    /// program that has ended.
    var patience = ProcessLifecycle.Patience()

    /// Defines a flow that runs a program.
    ///
    /// - Parameters:
    ///   - command: The program and its arguments; the arguments may be templates, see ``ArgumentTemplate``.
    ///   - directory: The folder to run in.
    ///   - environment: Variables that override those of the worker.
    ///   - withheldVariables: Variables of the worker that the program does not receive.
    ///   - maximumOutput: The most bytes of output.
    /// - Throws: ``FlowConfigurationProblem`` if the flow is invalid.
    package init(
        _ command: [String],
        directory: String = ".",
        environment: [String: String] = [:],
        withheldVariables: Set<String> = ExecFlow.defaultWithheldVariables,
        maximumOutput: Int = ExecFlow.defaultMaximumOutput
    ) throws(FlowConfigurationProblem) {
        guard let program = command.first else {
            throw FlowConfigurationProblem(.arguments, "it is empty; the first item is the program")
        }
        var arguments: [ArgumentTemplate] = []
        for (position, text) in command.enumerated() {
            if text.utf8.contains(0) { throw FlowConfigurationProblem(.argument(position), "it contains a NUL") }
            do {
                arguments.append(try ArgumentTemplate(text))
            } catch {
                throw FlowConfigurationProblem(.argument(position), "\(error)")
            }
        }
        if program.isEmpty { throw FlowConfigurationProblem(.argument(0), "the program has no name") }
        if arguments[0].isTemplated {
            throw FlowConfigurationProblem(
                .argument(0),
                "the program cannot be a template: the worker's owner decides what is run, not a record"
            )
        }
        try ProgramCommand.check(environment: environment)
        self.program = program
        self.arguments = Array(arguments.dropFirst())
        self.directory = directory
        self.environment = environment
        self.withheldVariables = withheldVariables
        self.maximumOutput = maximumOutput
        self.command = ProgramCommand(
            program: program,
            directory: directory,
            environment: environment,
            withheldVariables: withheldVariables,
            taskVariables: Self.taskVariables
        )
        self.warnings = ScriptArguments.warnings(program: program, arguments: self.arguments)
    }

    /// Looks for the program and its folder.
    package func examine() -> FlowExamination { command.examine() }

    /// Runs the program for one task.
    package func run(_ task: FlowTask) async throws -> FlowOutput {
        let configuration = try configuration(for: task)
        try Task.checkCancellation()
        let process = ChildProcess(
            configuration,
            input: Self.input(of: task.record),
            maximumOutput: maximumOutput,
            patience: patience
        )
        let ending: ProcessEnding
        do {
            ending = try await process.run()
        } catch let error as SubprocessError {
            throw command.explain(error)
        } catch let error as Errno {
            throw command.explain(error)
        }
        return try ending.output(maximum: maximumOutput)
    }

    /// The bytes for standard input: JSON on a line of its own, or the content as it is.
    static func input(of record: Record) -> [UInt8] {
        guard record.kind == .json else { return record.bytes }
        var line: [UInt8] = []
        line.reserveCapacity(record.bytes.count + 1)
        record.writeJSON(to: &line)
        line.append(UInt8(ascii: "\n"))
        return line
    }
}

extension ExecFlow {
    /// The longest argument that Linux takes, with the NUL after it (MAX_ARG_STRLEN).
    private static let maximumArgument = 128 << 10

    /// The values of the variables that describe the task, by name.
    private static let taskValues: [String: @Sendable (FlowTask) -> String] = [
        "SHEAF_BATCH_ID": { $0.batch.text },
        "SHEAF_TASK_ID": { $0.id },
        "SHEAF_TASK_INDEX": { String($0.index) },
        "SHEAF_RECORD_ID": { $0.record.id },
        "SHEAF_ATTEMPT": { String($0.attempt) },
        "SHEAF_PARAMETERS": { $0.parameters.text },
    ]
    /// The variables of the trace context; a program of a task that is not traced has none.
    private static let traceVariables = (parent: "TRACEPARENT", state: "TRACESTATE")

    /// The names of the variables that describe the task.
    private static let taskVariables = Set(taskValues.keys).union([traceVariables.parent, traceVariables.state])

    /// What to start for a task.
    private func configuration(for task: FlowTask) throws(FlowError) -> Configuration {
        try command.configuration(arguments: try rendered(task), variables: try variables(for: task))
    }

    private func rendered(_ task: FlowTask) throws(FlowError) -> [String] {
        guard arguments.contains(where: \.isTemplated) else { return arguments.map(\.text) }
        var rendered: [String] = []
        do throws(TemplateError) {
            let scope = try TemplateScope(task)
            for (position, argument) in arguments.enumerated() {
                let text: String
                do {
                    text = try argument.render(scope)
                } catch {
                    throw TemplateError("exec[\(position + 1)] is '\(argument.text)', but \(error)")
                }
                if text.utf8.contains(0) {
                    throw TemplateError("exec[\(position + 1)] would contain a NUL, which no argument may contain")
                }
                if text.utf8.count >= Self.maximumArgument {
                    throw TemplateError(
                        """
                        exec[\(position + 1)] would be \(text.utf8.count) bytes long, but an argument has at most \
                        \(Self.maximumArgument - 1); let the program read the record from standard input instead
                        """
                    )
                }
                rendered.append(text)
            }
        } catch {
            throw FlowError(type: FlowError.templateType, message: error.description)
        }
        return rendered
    }

    private func variables(for task: FlowTask) throws(FlowError) -> [String: String] {
        if task.record.id.utf8.contains(0) {
            throw FlowError(
                type: FlowError.templateType,
                message: "the id of the record contains a NUL, which no variable may contain"
            )
        }
        var variables = Self.taskValues.mapValues { $0(task) }
        variables[Self.traceVariables.parent] = task.trace?.traceParent
        variables[Self.traceVariables.state] = task.trace?.traceState
        return variables
    }
}

/// Finds templates inside scripts, where a record could add commands of its own.
private enum ScriptArguments {
    private static let shells: Set<String> = ["sh", "bash", "dash", "zsh", "ksh", "ash", "fish"]
    private static let interpreters: Set<String> = ["python", "python3", "perl", "ruby", "node", "php", "lua"]

    static func warnings(program: String, arguments: [ArgumentTemplate]) -> [FlowConfigurationProblem] {
        let name = program.split(separator: "/").last.map(String.init) ?? program
        guard shells.contains(name) || interpreters.contains(name) else { return [] }
        // The argument after the first option such as -c, -ec or -e is the script; what follows are its arguments.
        guard
            let option = arguments.firstIndex(where: { isScriptOption($0.text) }),
            arguments.indices.contains(option + 1), arguments[option + 1].isTemplated
        else { return [] }
        let advice =
            shells.contains(name)
            ? #"; pass the value after the script and use "$1": ["-c", "… \"$1\"", "\#(name)", "{{field}}"]"#
            : "; pass the value as an argument after the script"
        return [
            FlowConfigurationProblem(
                .argument(option + 2),
                "a template inside a script lets a record run commands\(advice)"
            )
        ]
    }

    private static func isScriptOption(_ text: String) -> Bool {
        text.hasPrefix("-") && !text.hasPrefix("--") && (text.hasSuffix("c") || text.hasSuffix("e") || text == "-r")
    }
}
