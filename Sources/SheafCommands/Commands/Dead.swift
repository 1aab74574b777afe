import ArgumentParser
import Sheaf
import SheafCore
import SheafFormats

extension SheafCommand {
    /// Handles dead letters: messages that were given up.
    struct Dead: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Handle dead letters: messages that no worker could read, or tasks that killed their workers.",
            discussion: """
                A message that no worker can read, for example because no worker knows its flow, becomes a dead \
                letter. Once the cause is fixed, 'requeue' returns it to its queue. A task that repeatedly kills its \
                worker becomes a dead letter too, and counts as failed: 'sheaf retry' runs it again.

                Examples:
                  sheaf dead list
                  sheaf dead show 17
                  sheaf dead requeue --all
                  sheaf dead purge
                """,
            subcommands: [List.self, Show.self, Requeue.self, Purge.self],
            defaultSubcommand: List.self
        )
    }
}

extension SheafCommand.Dead {
    /// Lists dead letters.
    struct List: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "List dead letters, oldest first. (The default.)",
            usage: "sheaf dead list [<options>]",
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

    /// Shows one dead letter.
    struct Show: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a dead letter: its headers and its body.",
            usage: "sheaf dead show [<options>] <number>",
            discussion: """
                Control characters are printed as \\u{…}; with --json the body is exact.

                Example:
                  sheaf dead show 17
                """
        )

        @Argument(help: "The number that 'sheaf dead list' prints.")
        var number: Int64

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let (letter, message) = try await session.withClient { client in try await client.deadLetter(at: number) }
            if json.isOn {
                try session.console.print(letter.json(with: message).text)
            } else {
                // The lines are escaped already, and the body keeps its line breaks.
                for line in DeadLetterTable.details(letter, message) { try session.console.print(styled: line) }
            }
        }
    }
}

extension SheafCommand.Dead {
    /// Returns dead letters to their queues.
    struct Requeue: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Return dead letters to their original queues.",
            usage: "sheaf dead requeue [<options>] [<number>]",
            discussion: """
                Example:
                  sheaf dead requeue 17
                """
        )

        @Argument(help: "The number that 'sheaf dead list' prints.")
        var number: Int64?

        @Flag(help: "Requeue all that can be requeued, and print why the others cannot.")
        var all = false

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if all == (number != nil) { throw ValidationError("name either one dead letter or --all") }
        }

        @concurrent
        func run(in session: Session) async throws {
            let letters = try await session.withClient { client in
                if let number { return [try await client.requeueDeadLetter(at: number)] }
                return try await client.requeueDeadLetters()
            }
            for letter in letters {
                let refusal = letter.refusal.map { Wording.message($0, advice: letter.advice) }
                session.console.say(
                    refusal ?? "dead letter \(letter.offset) is back in queue \(TerminalText.line(letter.queue))"
                )
            }
            if letters.isEmpty { session.console.say("there are no dead letters") }
            if json.isOn { try session.console.print(JSONValue.array(letters.map(\.json)).text) }
        }
    }

    /// Clears the list of dead letters.
    struct Purge: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Clear the list of dead letters.",
            usage: "sheaf dead purge [<options>]",
            discussion: """
                The messages stay in the broker's log; 'sheaf dead show' still finds each by its number.

                Example:
                  sheaf dead purge
                """
        )

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let count = try await session.withClient { client in try await client.dismissDeadLetters() }
            session.console.say("removed \(Wording.count(count, "dead letter")) from the list")
            if json.isOn { try session.console.print((["purged": .integer(count)] as JSONValue).text) }
        }
    }
}
