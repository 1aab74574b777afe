import ArgumentParser

extension SheafCommand {
    /// Lists the exit codes.
    struct ExitCodes: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "exit-codes",
            abstract: "List the exit codes.",
            discussion: """
                Scripts can rely on these:

                \(ExitReason.table)

                A batch is waited for by 'create --wait', 'watch', 'wait', and 'run --until-empty --batch'. A worker \
                that is interrupted exits with 130 or 143 even where it could finish all it had begun. Where the \
                reader of a pipe goes away ('sheaf results last | head'), the code is 0.
                """
        )

        func run() async throws {
            try Console(isQuiet: false, environment: [:]).print(ExitReason.table)
        }
    }
}
