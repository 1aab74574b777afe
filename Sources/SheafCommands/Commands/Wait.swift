import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Waits for a batch.
    struct Wait: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Wait until a batch has ended; the exit code tells how.",
            discussion: """
                Exits with 0 where every task succeeded, 1 where one failed or the policy stopped the batch, 6 where \
                it was cancelled, and 7 where --timeout passed first (the batch goes on).

                Example:
                  sheaf wait last --timeout 10m && sheaf results last -o results.jsonl
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Option(help: ArgumentHelp("Wait no longer than this, such as 90s, 5m or 2h.", valueName: "time"))
        var timeout: TimeSpan?

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            try await session.withClient { client in
                try await BatchFollower(client: client, console: session.console)
                    .conclude(batch, timeout: timeout?.duration, json: json.isOn ? { $0.json } : nil)
            }
        }
    }
}
