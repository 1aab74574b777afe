import ArgumentParser
import Sheaf
import SheafCore
import SheafFormats

extension SheafCommand {
    /// Pauses a batch.
    struct Pause: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Pause a batch: start no more of its tasks.",
            usage: "sheaf pause [<options>] <batch>",
            discussion: """
                Running tasks finish. Workers that start later obey it too. 'sheaf resume' continues the batch. A \
                batch that has ended cannot be paused (exit code 4).

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

    /// Continues a batch that is paused or stopped.
    struct Resume: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Continue a batch that is paused, or that its error policy has stopped.",
            usage: "sheaf resume [<options>] <batch>",
            discussion: """
                After a stop, the error policy no longer counts the failures so far. Those tasks stay failed; 'sheaf \
                retry' runs them again. A batch that has ended cannot continue (exit code 4).

                This command is about running tasks. To publish the rest of a batch whose creation was interrupted, \
                use 'sheaf create --resume'.

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

    /// Cancels a batch.
    struct Cancel: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Cancel a batch: drop its waiting tasks.",
            usage: "sheaf cancel [<options>] <batch>",
            discussion: """
                Running tasks may finish, unless --now ends them too. Workers that start later obey it too. A batch \
                that has already ended cannot be cancelled (exit code 4).

                Example:
                  sheaf cancel last --now
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Flag(help: "End running tasks too.")
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
