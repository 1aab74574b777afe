import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Halts a batch for now.
    struct Pause: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Halt a batch for now: no more of its tasks start.",
            discussion: """
                Tasks that run finish. Workers that are not there now, see it when they start. 'sheaf resume' lets the \
                batch go on. A batch that has ended can not be paused (exit code 4).

                Example:
                  sheaf pause last
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let change = try await session.withClient { client in try await client.pause(batch) }
            session.console.say(Wording.pausing(change))
            if json.isOn { try session.console.print(change.json.text) }
        }
    }
}
