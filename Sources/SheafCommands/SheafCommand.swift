public import ArgumentParser

/// The `sheaf` command: everything it does is a subcommand.
public struct SheafCommand: AsyncParsableCommand {
    /// How the command presents itself.
    public static let configuration = CommandConfiguration(
        commandName: "sheaf",
        abstract: "Runs one task per record, over a message broker.",
        discussion: """
            'create' publishes a batch: one task for each record of the input. 'run' workers, as many as you like, run \
            the tasks. 'status', 'list', 'watch' and 'results' show what became of them, from anywhere.

            Flows, what to do with a record, are defined in sheaf.yaml:

              flows:
                wordcount: { exec: ["wc", "-w"] }

            Then:

              sheaf wordcount texts/*.txt     create a batch (short for 'sheaf create wordcount …')
              sheaf run --until-empty         run its tasks
              sheaf results last              see the outcomes

            Without a broker in sheaf.yaml or SHEAF_BROKER, everything is kept in the folder .sheaf beside sheaf.yaml.
            'last' names the newest batch wherever a batch is asked for. Data goes to standard output, talk to \
            standard error. 'sheaf help exit-codes' lists the exit codes.
            """,
        version: SheafVersion.current,
        groupedSubcommands: [
            CommandGroup(name: "Work", subcommands: [Create.self, Run.self]),
            CommandGroup(name: "See", subcommands: [Status.self, List.self, Watch.self, Wait.self, Results.self]),
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

    /// Makes the command; its arguments come from parsing.
    public init() {}
}
