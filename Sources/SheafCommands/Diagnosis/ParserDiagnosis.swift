import ArgumentParser
import SheafSettings

extension Diagnosis {
    /// Creates the diagnosis of a command line that the parser refuses: what is wrong, the argument's help, and the
    /// command whose help says more.
    init(parsing error: any Error) {
        // Below the message, the parser prints the help of the argument, the usage, and the name of the command.
        let lines = SheafCommand.fullMessage(for: error).split(separator: "\n")
        let help = lines.compactMap { $0.wholeMatch(of: /Help:  (.+)/)?.1 }
        let command = lines.last?.firstMatch(of: /See '(.+) --help'/)?.1 ?? "sheaf"
        self.init(
            .usage,
            Self.worded(SheafCommand.message(for: error)),
            advice: (help.map(String.init) + ["'\(command) --help' shows the arguments and examples"])
                .joined(separator: "\n")
        )
    }

    /// Returns a message of the parser in the form of all others: one line, lower case, no full stop.
    private static func worded(_ message: String) -> String {
        var text = message.replacing("Missing expected argument", with: "Missing argument")
            .replacing(". Did you mean", with: "; did you mean")
            .replacing(". Please provide one of the following:\n  - ", with: ": expected one of ")
            .replacing("\n  - ", with: ", ")
            .replacing(". Please provide one of ", with: ": expected ")
        if text.hasSuffix(".") { text.removeLast() }
        return text.prefix(1).lowercased() + text.dropFirst()
    }
}

/// A command whose default subcommand takes an argument, so that a word after it need not be a subcommand.
protocol TakesArgument: ParsableCommand {}

/// The names of the commands.
enum CommandNames {
    /// Returns the name of a command, as it is typed.
    static func name(of command: any ParsableCommand.Type) -> String {
        command.configuration.commandName ?? String(describing: command).lowercased()
    }

    /// Returns the names of a command's subcommands.
    static func subcommands(of command: any ParsableCommand.Type = SheafCommand.self) -> [String] {
        command.configuration.subcommands.map(name(of:))
    }

    /// Returns the diagnosis of a name that is no command, in `help NAME` or after a command with subcommands, or nil
    /// if there is none.
    static func unknownCommand(in arguments: [String]) -> Diagnosis? {
        var command: any ParsableCommand.Type = SheafCommand.self
        var path: [String] = []
        for word in arguments.dropFirst(arguments.first == "help" ? 1 : 0) {
            let known = subcommands(of: command)
            if known.isEmpty || word.hasPrefix("-") || word == "help" { return nil }
            if let next = command.configuration.subcommands.first(where: { name(of: $0) == word }) {
                command = next
                path.append(word)
                continue
            }
            // `sheaf NAME` may create a batch of a flow, and other commands take an argument too.
            if path.isEmpty || command is any TakesArgument.Type, arguments.first != "help" { return nil }
            return Diagnosis(
                .usage,
                "there is no command '\((path + [word]).joined(separator: " "))'"
                    + Suggestion.text(for: word, among: known),
                advice: "'\((["sheaf"] + path).joined(separator: " ")) --help' lists the commands"
            )
        }
        return nil
    }

    /// Returns advice about a word that is neither a command nor a flow.
    static func suggestion(for word: String) -> String {
        let near = Suggestion.nearest(to: word, among: subcommands() + ["help"]).map { "'sheaf \($0)'" }
        let question = near.isEmpty ? "" : "did you mean the command \(near.joined(separator: " or "))? "
        return question + "'sheaf --help' lists the commands"
    }
}
