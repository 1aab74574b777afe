import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand.Dead {
    /// Lists what was given up.
    struct List: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "List messages that were given up, the oldest first. (The default.)",
            discussion: """
                Example:
                  sheaf dead list --json
                """
        )

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let letters = try await session.withClient { client in try await client.deadLetters() }
            if json.isOn {
                try session.console.print(JSONValue.array(letters.map(\.json)).text)
            } else if letters.isEmpty {
                session.console.say("there are no dead letters")
            } else {
                for line in DeadLetterTable.lines(letters, now: .now) { try session.console.print(line) }
            }
        }
    }

    /// Shows one message in full.
    struct Show: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a message that was given up: its headers and its body.",
            discussion: """
                What a terminal would obey is shown as \\u{…}; with --json the body is exact.

                Example:
                  sheaf dead show 17
                """
        )

        @Argument(help: "The message's number in 'sheaf dead list'.")
        var number: Int64

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let (letter, message) = try await session.withClient { client in try await client.deadLetter(at: number) }
            if json.isOn {
                try session.console.print(letter.json(with: message).text)
            } else {
                for line in DeadLetterTable.details(letter, message) { try session.console.print(line) }
            }
        }
    }
}
