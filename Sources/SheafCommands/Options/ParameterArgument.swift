import ArgumentParser
import OrderedCollections
import SheafCore

/// A parameter as given on the command line: `name=value`, whose value is JSON where it is valid, else text.
struct ParameterArgument: ExpressibleByArgument, Sendable, Equatable {
    let name: String
    let value: JSONValue

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else { return nil }
        let text = String(argument[argument.index(after: equals)...])
        name = String(argument[..<equals])
        value = (try? JSON.parse(text)) ?? .string(text)
    }

    /// Many parameters as one object; of those with one name the last wins.
    static func object(_ arguments: [ParameterArgument]) -> JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [:]
        for argument in arguments { members[argument.name] = argument.value }
        return .object(members)
    }
}
