public import ArgumentParser
public import Logging
import OrderedCollections
public import SheafCore
package import SheafFormats
import SheafSettings
public import SheafSources

/// Allows common options before the command, as in `sheaf --broker URL list`.
///
/// The parser would pass them to the default command and take `list` for a flow.
enum ArgumentOrder {
    private static let withValue: Set<String> = ["--config", "--broker", "--namespace", "--set", "--log-level"]
    private static let commands = Set(CommandNames.subcommands() + ["help"])
    private static let flags: Set<String> = ["--quiet", "-q", "--json"]

    /// Returns the arguments with the command first, if common options stand before it.
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

// Enumerations of other modules whose raw values are the values of options.

extension Logger.Level: @retroactive ExpressibleByArgument {}

extension SourceFormat: ExpressibleByArgument {}

extension BatchStatus: ExpressibleByArgument {}

extension Outcome.Status: ExpressibleByArgument {}

extension ResultFormat: ExpressibleByArgument {}

/// A duration on the command line: `90` (seconds), `250ms`, `60s`, `5m`, `2h`, `1d`.
struct TimeSpan: ExpressibleByArgument, Sendable, Equatable {
    /// The duration.
    let duration: Duration

    init?(argument: String) {
        guard let duration = DurationText.parse(argument) ?? DurationText.parse(argument + "s") else { return nil }
        self.duration = duration
    }
}

/// A tag on the command line: `key=value`.
struct TagArgument: Sendable, Equatable {
    let key: String
    let value: String

    /// Reads an argument; throws if it is not a valid tag.
    init(_ argument: String) throws {
        guard let tag = Tags.parse(argument) else { throw ValidationError("a tag is \(Tags.rule)") }
        (key, value) = tag
    }
}

/// A parameter on the command line: `name=value`, whose value is JSON if it is valid, else a string.
struct ParameterArgument: ExpressibleByArgument, Sendable, Equatable {
    let name: String
    let value: JSONValue

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else { return nil }
        let text = String(argument[argument.index(after: equals)...])
        name = String(argument[..<equals])
        value = (try? JSON.parse(text)) ?? .string(text)
    }

    /// Returns many parameters as one object; the last of several with the same name wins.
    static func object(_ arguments: [ParameterArgument]) -> JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [:]
        for argument in arguments { members[argument.name] = argument.value }
        return .object(members)
    }
}
