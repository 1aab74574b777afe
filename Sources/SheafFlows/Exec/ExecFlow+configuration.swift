import Glibc
import SheafCore
import Subprocess
import SystemPackage

extension ExecFlow {
    /// The longest argument that Linux takes, with the NUL behind it (MAX_ARG_STRLEN).
    private static let maximumArgument = 128 << 10

    /// What is to be started for a task.
    func configuration(for task: FlowTask) throws(FlowError) -> Configuration {
        var options = PlatformOptions()
        // A group of its own, so that everything the program starts can be ended with it.
        options.processGroupID = 0
        let folder = FilePath(directory)
        return Configuration(
            executable: .path(try executable(in: folder)),
            arguments: Arguments(executablePathOverride: program, remainingValues: try rendered(task)),
            environment: try variables(for: task),
            workingDirectory: folder,
            platformOptions: options
        )
    }

    /// Where the program is; a path to it is taken from the folder it runs in, as if it had been typed there.
    private func executable(in folder: FilePath) throws(FlowError) -> FilePath {
        if program.contains("/") { return folder.pushing(FilePath(program)) }
        let path = environment["PATH"] ?? getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        guard let found = ProgramLookup.find(program, in: path) else {
            throw FlowError(type: "not-found", message: "there is no program '\(program)' in any folder of PATH")
        }
        return found
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
                    throw TemplateError("exec[\(position + 1)] would contain a NUL, which no argument can")
                }
                if text.utf8.count >= Self.maximumArgument {
                    throw TemplateError(
                        """
                        exec[\(position + 1)] would be \(text.utf8.count) bytes long, and an argument may have \
                        \(Self.maximumArgument - 1); the program can read the record from standard input instead
                        """
                    )
                }
                rendered.append(text)
            }
        } catch {
            throw FlowError(type: "template", message: error.description)
        }
        return rendered
    }

    private func variables(for task: FlowTask) throws(FlowError) -> Environment {
        if task.record.id.utf8.contains(0) {
            throw FlowError(type: "template", message: "the id of the record contains a NUL, which no variable can")
        }
        var changes: [Environment.Key: String?] = [:]
        for name in withheldVariables { changes[Environment.Key(stringLiteral: name)] = .some(nil) }
        for (name, value) in environment { changes[Environment.Key(stringLiteral: name)] = value }
        changes["SHEAF_BATCH_ID"] = task.batch.text
        changes["SHEAF_TASK_ID"] = task.id
        changes["SHEAF_TASK_INDEX"] = String(task.index)
        changes["SHEAF_RECORD_ID"] = task.record.id
        changes["SHEAF_ATTEMPT"] = String(task.attempt)
        changes["SHEAF_PARAMETERS"] = task.parameters.text
        return .inherit.updating(changes)
    }

    /// Puts a failure to start into words.
    func explain(_ error: SubprocessError) -> FlowError {
        switch error.code {
        case .executableNotFound:
            let place = program.contains("/") ? " (the path is taken from the folder '\(directory)')" : ""
            return FlowError(
                type: "not-found",
                message: """
                    the program '\(program)' cannot be run\(place); is it there, executable, and the interpreter in \
                    its first line installed?
                    """
            )
        case .failedToChangeWorkingDirectory:
            let reason = error.underlyingError.map { ": \($0)" } ?? ""
            return FlowError(type: "not-found", message: "the folder '\(directory)' cannot be entered\(reason)")
        case .spawnFailed where error.underlyingError == .argListTooLong:
            return FlowError(
                type: "template",
                message: "the arguments and the environment of '\(program)' are together larger than the system takes"
            )
        default:
            let passing: [Errno] = [
                .resourceTemporarilyUnavailable, .noMemory, .tooManyOpenFiles, .tooManyOpenFilesInSystem,
                .textFileBusy,
            ]
            return FlowError(
                type: "spawn",
                message: "'\(program)' could not be started: \(error)",
                isRetryable: error.underlyingError.map(passing.contains) ?? false
            )
        }
    }
}
