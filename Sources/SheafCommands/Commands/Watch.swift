import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Follows a batch.
    struct Watch: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Follow a batch until it has ended or is stopped.",
            usage: "sheaf watch [<options>] <batch>",
            discussion: """
                Shows a progress bar on a terminal, and a line every few seconds elsewhere. The exit code reports how \
                the batch ended: 0 if every task succeeded, 1 if a task failed or the error policy stopped the batch, \
                6 if it was cancelled.

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

    /// Waits for a batch.
    struct Wait: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Wait until a batch has ended or is stopped; the exit code reports how.",
            usage: "sheaf wait [<options>] <batch>",
            discussion: """
                The exit code is 0 if every task succeeded, 1 if a task failed or the error policy stopped the batch, \
                6 if it was cancelled, and 7 if --timeout passed first (the batch continues).

                Example:
                  sheaf wait last --timeout 10m && sheaf results last -o results.jsonl
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @Option(
            help: ArgumentHelp("Wait at most this time, such as 90s, 5m or 2h; default: no limit.", valueName: "time")
        )
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
