import Glibc
import SheafCore
import Subprocess
import Synchronization
import SystemPackage

/// A program that the worker's owner chose, with its folder and environment.
struct ProgramCommand: Sendable {
    /// A name that is looked up in `PATH`, or a path.
    let program: String
    /// The folder in which the program runs, and from which a path to it is taken.
    let directory: String
    /// Variables that override those of the worker.
    let environment: [String: String]
    /// The environment as `NAME=value` and NUL, without the task's variables: made once, because Subprocess would look
    /// at all of them several times for each program.
    private let variables: [[UInt8]]
    private let lookup = ProgramLookup()

    /// Prepares a program with the worker's variables as they are now.
    ///
    /// - Parameters:
    ///   - program: A name that is looked up in `PATH`, or a path.
    ///   - directory: The folder in which the program runs.
    ///   - environment: Variables that override those of the worker.
    ///   - withheldVariables: Variables of the worker that the program does not receive.
    ///   - taskVariables: The names of all variables that a task may set.
    init(
        program: String,
        directory: String,
        environment: [String: String],
        withheldVariables: Set<String>,
        taskVariables: Set<String> = []
    ) {
        self.program = program
        self.directory = directory
        self.environment = environment
        var variables: [[UInt8]] = []
        var place = environ
        while let variable = place.pointee {
            place += 1
            let bytes = Array(UnsafeRawBufferPointer(start: variable, count: strlen(variable) + 1))
            let name = String(decoding: bytes.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
            let isReplaced = environment[name] != nil || taskVariables.contains(name)
            if !withheldVariables.contains(name), !isReplaced { variables.append(bytes) }
        }
        self.variables = variables + environment.filter { !taskVariables.contains($0.key) }.map(Self.variable)
    }

    private static func variable(_ name: String, _ value: String) -> [UInt8] { Array("\(name)=\(value)\0".utf8) }

    /// Checks the names and values of variables.
    ///
    /// - Throws: ``FlowConfigurationProblem`` if one is invalid.
    static func check(environment: [String: String]) throws(FlowConfigurationProblem) {
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) {
            if name.isEmpty || name.utf8.contains(where: { $0 == 0 || $0 == UInt8(ascii: "=") })
                || name.utf8.first.map({ 0x30...0x39 ~= $0 }) == true
            {
                throw FlowConfigurationProblem(.environment(name), "that is not a valid name of a variable")
            }
            if value.utf8.contains(0) { throw FlowConfigurationProblem(.environment(name), "it contains a NUL") }
        }
    }

    /// What to start, with the variables of a task.
    func configuration(
        arguments: [String],
        variables: [String: String] = [:]
    ) throws(FlowError) -> Configuration {
        var options = PlatformOptions()
        // The program gets a group of its own, so that everything it starts can be ended with it.
        options.processGroupID = 0
        let folder = FilePath(directory)
        return Configuration(
            executable: .path(try executable(in: folder)),
            arguments: Arguments(executablePathOverride: program, remainingValues: arguments),
            environment: .custom(self.variables + variables.map(Self.variable)),
            workingDirectory: folder,
            platformOptions: options
        )
    }

    /// Finds the program; a path is relative to the folder that the program runs in.
    private func executable(in folder: FilePath) throws(FlowError) -> FilePath {
        if program.contains("/") { return folder.pushing(FilePath(program)) }
        let path = environment["PATH"] ?? getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        guard let found = lookup.find(program, in: path) else {
            throw FlowError(
                type: FlowError.notFoundType,
                message: "there is no program '\(program)' in any folder of PATH"
            )
        }
        return found
    }

    /// Explains a failure to start.
    func explain(_ error: SubprocessError) -> FlowError {
        switch error.code {
        case .executableNotFound:
            let isRelative = program.contains("/") && !program.hasPrefix("/")
            let place = isRelative ? " (the path is relative to the folder '\(directory)')" : ""
            return FlowError(
                type: FlowError.notFoundType,
                message: """
                    the program '\(program)' cannot be run\(place); check that it exists and is executable, and that \
                    the interpreter in its first line is installed
                    """
            )
        case .failedToChangeWorkingDirectory:
            let reason = error.underlyingError.map { ": \($0)" } ?? ""
            return FlowError(
                type: FlowError.notFoundType,
                message: "the folder '\(directory)' cannot be entered\(reason)"
            )
        case .spawnFailed where error.underlyingError == .argListTooLong:
            return FlowError(
                type: FlowError.templateType,
                message: "the arguments and the environment of '\(program)' are together larger than the system allows"
            )
        default:
            let passing: [Errno] = [
                .resourceTemporarilyUnavailable, .noMemory, .tooManyOpenFiles, .tooManyOpenFilesInSystem,
                .textFileBusy,
            ]
            return FlowError(
                type: FlowError.spawnType,
                message: "'\(program)' could not be started: \(error)",
                isRetryable: error.underlyingError.map(passing.contains) ?? false
            )
        }
    }

    /// Explains a failure to make the pipes of a program.
    func explain(_ error: Errno) -> FlowError {
        FlowError(
            type: FlowError.spawnType,
            message: "the pipes of '\(program)' could not be made: \(error)",
            isRetryable: true
        )
    }
}

extension ProgramCommand {
    /// Looks for the program and the folder it runs in, and starts nothing.
    func examine() -> FlowExamination {
        let folder = FilePath(directory)
        guard Self.canBeEntered(folder) else {
            return FlowExamination(
                use: "runs \(program)",
                problem: "the folder '\(directory)' does not exist or cannot be entered"
            )
        }
        let path: FilePath
        do throws(FlowError) {
            path = try executable(in: folder)
        } catch {
            return FlowExamination(use: "runs \(program)", problem: error.message)
        }
        let shown = path.lexicallyNormalized()
        let isThere = ProgramLookup.isProgram(path)
        return FlowExamination(
            use: "runs \(shown)",
            problem: isThere ? nil : "the program '\(shown)' does not exist or is not executable"
        )
    }

    private static func canBeEntered(_ folder: FilePath) -> Bool {
        folder.withPlatformString { path in
            var status = stat()
            return access(path, X_OK) == 0 && stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
        }
    }
}

/// Finds programs by name and remembers where they are, as a shell does.
///
/// Subprocess tries to start the name in every folder of `PATH` until one works; looking first costs far less.
private final class ProgramLookup: Sendable {
    private struct Finding {
        let name: String
        let path: String
        let place: FilePath
    }

    private let latest = Mutex<Finding?>(nil)

    /// Returns the first program of that name in a list of folders such as `PATH`; relative folders are skipped.
    func find(_ name: String, in path: String) -> FilePath? {
        if let latest = latest.withLock({ $0 }), latest.name == name, latest.path == path, Self.isProgram(latest.place)
        {
            return latest.place
        }
        let place = Self.search(name, in: path)
        latest.withLock { $0 = place.map { Finding(name: name, path: path, place: $0) } }
        return place
    }

    private static func search(_ name: String, in path: String) -> FilePath? {
        for folder in path.split(separator: ":") where folder.hasPrefix("/") {
            let candidate = FilePath(String(folder)).appending(name)
            if isProgram(candidate) { return candidate }
        }
        return nil
    }

    /// Returns whether there is an executable file at a path.
    static func isProgram(_ path: FilePath) -> Bool {
        path.withPlatformString { path in
            var status = stat()
            return access(path, X_OK) == 0 && stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        }
    }
}
