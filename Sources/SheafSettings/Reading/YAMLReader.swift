import OrderedCollections
import Yams

/// Makes settings out of what the parser of YAML has found.
struct YAMLReader {
    /// The most values of a file; a few lines of aliases of aliases would make any number of them.
    private static let maximumValues = 100_000

    let path: String
    private var values = 0

    init(path: String) { self.path = path }

    mutating func convert(_ node: Node, line: Int) throws(SettingsError) -> SettingsNode {
        let origin = SettingsOrigin.file(path: path, line: node.mark?.line ?? line)
        values += 1
        if values > Self.maximumValues {
            throw SettingsError("more than \(Self.maximumValues) values, with those that aliases repeat", from: origin)
        }
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain && scalar.tag.description != Tag.Name.str.rawValue
            let value = isPlain ? SettingsScalar(plain: scalar.string) : SettingsScalar(text: scalar.string)
            return SettingsNode(value: .scalar(value), origin: origin)
        case .sequence(let sequence):
            var elements: [SettingsNode] = []
            for element in sequence { elements.append(try convert(element, line: line)) }
            return SettingsNode(value: .list(elements), origin: origin)
        case .mapping(let mapping):
            return SettingsNode(value: .mapping(try members(mapping, line: line)), origin: origin)
        case .alias:
            throw SettingsError("an alias that stands for nothing", from: origin)
        }
    }

    private mutating func members(
        _ mapping: Node.Mapping,
        line: Int
    ) throws(SettingsError) -> OrderedDictionary<String, SettingsNode> {
        var members: OrderedDictionary<String, SettingsNode> = [:]
        var merged: OrderedDictionary<String, SettingsNode> = [:]
        for (key, value) in mapping {
            let line = key.mark?.line ?? line
            guard let scalar = key.scalar else {
                throw SettingsError("a key that is no text", from: .file(path: path, line: line))
            }
            var node = try convert(value, line: line)
            // The line of the key: a value that is a map or a list begins below it.
            node.origin = .file(path: path, line: line)
            if scalar.string == "<<", scalar.style == .plain {
                for (name, member) in try inherited(node) where merged[name] == nil { merged[name] = member }
            } else {
                members[scalar.string] = node
            }
        }
        return members.merging(merged) { own, _ in own }
    }

    /// The members of what `<<:` names: a map, or a list of maps of which the first counts.
    private func inherited(_ node: SettingsNode) throws(SettingsError) -> OrderedDictionary<String, SettingsNode> {
        switch node.value {
        case .mapping(let members): return members
        case .list(let elements):
            var members: OrderedDictionary<String, SettingsNode> = [:]
            for element in elements { members.merge(try inherited(element)) { first, _ in first } }
            return members
        case .scalar: throw SettingsError("'<<' takes a map, found \(node.found)", from: node.origin)
        }
    }
}
