package import ArgumentParser
import Glibc
import SheafCore

/// The `sheaf` command with its subcommands.
package struct SheafCommand: AsyncParsableCommand {
    /// The name, the help and the subcommands.
    package static let configuration = CommandConfiguration(
        commandName: "sheaf",
        abstract: "Runs one task per record over a message broker.",
        discussion: """
            'create' publishes a batch: one task for each record of the input. Any number of 'run' workers run the \
            tasks. 'status', 'list', 'watch', 'results' and 'events' show, from anywhere, what happened to them.

            A flow is what to do with a record. Flows are defined in sheaf.yaml:

              flows:
                wordcount: { exec: ["wc", "-w"] }

            Then:

              sheaf create wordcount texts/*.txt    create a batch ('create' is optional)
              sheaf run --until-empty               run its tasks
              sheaf results last                    print the outcomes

            Without a broker in sheaf.yaml or SHEAF_BROKER, all data is in the folder .sheaf beside sheaf.yaml. 'last' \
            names the newest batch wherever a batch is expected. Data goes to standard output, messages to standard \
            error. 'sheaf help exit-codes' lists the exit codes.
            """,
        version: SheafVersion.current,
        groupedSubcommands: [
            CommandGroup(name: "Work", subcommands: [Create.self, Adopt.self, Run.self, Serve.self]),
            CommandGroup(name: "Stream", subcommands: [Dispatch.self, Requests.self]),
            CommandGroup(
                name: "See",
                subcommands: [
                    Status.self, List.self, Watch.self, Wait.self, Results.self, Errors.self, Events.self, Tap.self,
                    Submissions.self,
                ]
            ),
            CommandGroup(name: "Answer", subcommands: [Questions.self, Answer.self]),
            CommandGroup(
                name: "Manage",
                subcommands: [
                    Pause.self, Resume.self, Cancel.self, Retry.self, Change.self, Delete.self, Prune.self, Dead.self,
                ]
            ),
            CommandGroup(name: "Check", subcommands: [Validate.self, Doctor.self, ExitCodes.self]),
        ],
        defaultSubcommand: Create.self
    )

    /// Creates the command without arguments, as parsing requires.
    package init() {}

    /// Parses the command line, runs the command and exits with the code of its result.
    package static func execute() async -> Never {
        // Unlike SIG_IGN, a handler does not survive exec, so programs of flows get the default back. Writing to a
        // pipe without a reader then fails instead of ending the process.
        signal(SIGPIPE) { _ in }
        let given = CommandLine.arguments
        ProcessTitle.hideCredentials()
        let arguments = ArgumentOrder.commandFirst(Array(given.dropFirst()))
        if let diagnosis = CommandNames.unknownCommand(in: arguments) { Glibc.exit(report(diagnosis)) }
        var command: any ParsableCommand
        do {
            command = try parseAsRoot(arguments.isEmpty ? ["--help"] : arguments)
            // The parser runs the help command itself.
            if !(command is any AsyncParsableCommand) { try command.run() }
        } catch {
            // Help was requested; all other messages quote the command line, which may contain a password.
            if exitCode(for: error).isSuccess { exit(withError: error) }
            Glibc.exit(report(Diagnosis(parsing: error)))
        }
        do {
            if var ours = command as? any AsyncParsableCommand { try await ours.run() }
        } catch {
            Glibc.exit(report(error))
        }
        exit()
    }

    /// Prints what failed and returns the exit code.
    private static func report(_ error: any Error) -> Int32 {
        // The reader of a pipe exited early, as `head` does.
        if let error = error as? WriteError, error.isBrokenPipe { return ExitReason.success.rawValue }
        let diagnosis = Diagnosis(of: error)
        if let text = diagnosis.text { Console(isQuiet: false, environment: [:]).complain(text) }
        return diagnosis.status.rawValue
    }
}
