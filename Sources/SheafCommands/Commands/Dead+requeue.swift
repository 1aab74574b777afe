import ArgumentParser
import Sheaf
import SheafCore

extension SheafCommand.Dead {
    /// Puts messages back.
    struct Requeue: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put messages back to the queue they came from.",
            discussion: """
                Example:
                  sheaf dead requeue 17
                """
        )

        @Argument(help: "The message's number in 'sheaf dead list'.")
        var number: Int64?

        @Flag(help: "Put back all that can go back; say why the others can not.")
        var all = false

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if all == (number != nil) { throw ValidationError("Name one message, or --all.") }
        }

        @concurrent
        func run(in session: Session) async throws {
            let letters = try await session.withClient { client in
                if let number { return [try await client.requeueDeadLetter(at: number)] }
                return try await client.requeueDeadLetters()
            }
            for letter in letters {
                session.console.say(
                    letter.refusal ?? "dead letter \(letter.offset) is back in queue \(TerminalText.line(letter.queue))"
                )
            }
            if letters.isEmpty { session.console.say("there are no dead letters") }
            if json.isOn { try session.console.print(JSONValue.array(letters.map(\.json)).text) }
        }
    }

    /// Takes messages off the list.
    struct Purge: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take all messages that were given up off the list.",
            discussion: """
                The log that has them is shared and keeps them; 'sheaf dead show' still finds each by its number.

                Example:
                  sheaf dead purge
                """
        )

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let count = try await session.withClient { client in try await client.dismissDeadLetters() }
            session.console.say("took \(Wording.count(count, "dead letter")) off the list")
            if json.isOn { try session.console.print((["purged": .integer(count)] as JSONValue).text) }
        }
    }
}
