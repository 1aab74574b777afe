import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Cancels a batch.
    struct Cancel: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Cancel a batch: drop its waiting tasks.",
            discussion: """
                Tasks that run may finish, unless --now ends them too. Workers that are not there now, see it when \
                they start. A batch that has ended already can not be cancelled (exit code 4).

                Example:
                  sheaf cancel last --now
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Flag(help: "End running tasks, too.")
        var now = false

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let summary = try await session.withClient { client in try await client.cancel(batch, now: now) }
            session.console.say(Wording.conclusion(summary))
            if json.isOn { try session.console.print(summary.json.text) }
        }
    }
}
