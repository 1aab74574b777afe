import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Lets a batch go on.
    struct Resume: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a batch go on that is paused, or that its error policy has stopped.",
            discussion: """
                After a stop the error policy counts from here on: what has failed so far is tolerated, and stays \
                failed; 'sheaf retry' runs it again. A batch that has ended can not go on (exit code 4).

                Example:
                  sheaf resume last
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let change = try await session.withClient { client in try await client.resume(batch) }
            session.console.say(Wording.resuming(change))
            if json.isOn { try session.console.print(change.json.text) }
        }
    }
}
