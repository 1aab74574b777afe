import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand {
    /// Shows where a batch stands.
    struct Status: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show where a batch stands.",
            discussion: """
                Examples:
                  sheaf status last
                  sheaf status last --json
                """
        )

        @Argument(help: "The batch's id, or 'last' for the newest one.")
        var batch: String

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let summary = try await session.withClient { client in try await client.batch(batch) }
            if json.isOn {
                try session.console.print(summary.json.text)
            } else {
                let style = Style(isOn: session.console.output.hasColour)
                for line in BatchDetails.lines(summary, style: style, now: .now) {
                    try session.console.print(styled: line)
                }
            }
        }
    }
}
