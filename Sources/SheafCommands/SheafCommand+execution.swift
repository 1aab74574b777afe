import ArgumentParser
import Glibc

extension SheafCommand {
    /// Parses the command line, runs the command and ends the process with the code that says how it went.
    public static func execute() async -> Never {
        // A handler, unlike ignoring, does not outlive exec: flows get the system's default back. Writing to a pipe
        // that nobody reads then fails instead of ending the process.
        signal(SIGPIPE) { _ in }
        let given = CommandLine.arguments
        ProcessTitle.hideCredentials()
        let arguments = ArgumentOrder.commandFirst(Array(given.dropFirst()))
        var command: any ParsableCommand
        do {
            command = try parseAsRoot(arguments.isEmpty ? ["--help"] : arguments)
            // Help is what the parser does itself.
            if !(command is any AsyncParsableCommand) { try command.run() }
        } catch {
            let status = exitCode(for: error)
            // Help is asked for; all else quotes the command line, in which there may be a password.
            guard !status.isSuccess else { exit(withError: error) }
            Console(isQuiet: false, environment: [:]).complain(fullMessage(for: error))
            Glibc.exit(status.rawValue)
        }
        do {
            if var ours = command as? any AsyncParsableCommand { try await ours.run() }
        } catch {
            Glibc.exit(report(error))
        }
        exit()
    }

    /// Says what went wrong and returns the exit code.
    private static func report(_ error: any Error) -> Int32 {
        // Whoever stopped reading has what they wanted.
        if let error = error as? WriteError, error.isBrokenPipe { return ExitReason.success.rawValue }
        let diagnosis = Diagnosis(of: error)
        if let text = diagnosis.text { Console(isQuiet: false, environment: [:]).complain(text) }
        return diagnosis.status.rawValue
    }
}
