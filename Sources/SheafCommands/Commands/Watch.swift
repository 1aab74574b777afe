import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Follows a batch.
    struct Watch: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Follow a batch until it ends.",
            discussion: """
                Shows a progress bar on a terminal, and a line every few seconds elsewhere. The exit code tells how \
                the batch ended: 0 where every task succeeded, 1 where one failed or the policy stopped it, 6 where it \
                was cancelled.

                Example:
                  sheaf watch last
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            try await session.withClient { client in
                try await BatchFollower(client: client, console: session.console)
                    .conclude(batch, timeout: nil, json: json.isOn ? { $0.json } : nil)
            }
        }
    }
}
