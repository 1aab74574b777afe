import ArgumentParser

/// Lets common options stand before the command, as in `sheaf --broker URL list`.
///
/// The parser would hand them to the default command, and take `list` for a flow.
enum ArgumentOrder {
    private static let withValue: Set<String> = ["--config", "--broker", "--namespace", "--set", "--log-level"]
    private static let commands: Set<String> = {
        let names = SheafCommand.configuration.subcommands.map { command in
            command.configuration.commandName ?? String(describing: command).lowercased()
        }
        return Set(names + ["help"])
    }()
    private static let flags: Set<String> = ["--quiet", "-q", "--json"]

    /// The arguments with the command in front, where common options stand before one.
    static func commandFirst(_ arguments: [String]) -> [String] {
        var position = 0
        while position < arguments.count {
            let argument = arguments[position]
            if withValue.contains(argument) {
                position += 2
            } else if flags.contains(argument) || withValue.contains(where: { argument.hasPrefix($0 + "=") }) {
                position += 1
            } else {
                break
            }
        }
        guard position > 0, position < arguments.count, commands.contains(arguments[position]) else { return arguments }
        return [arguments[position]] + arguments[..<position] + arguments[(position + 1)...]
    }
}
