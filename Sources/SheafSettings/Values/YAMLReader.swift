import OrderedCollections
import Yams

extension SettingsNode {
    /// Parses the text of a file; an empty file is an empty map.
    init(yaml: String, path: String) throws(SettingsError) {
        let root: Node?
        do {
            root = try compose(yaml: yaml)
        } catch {
            throw Self.explain(error, yaml: yaml, path: path)
        }
        guard let root else {
            self = .empty
            return
        }
        var reader = YAMLReader(path: path)
        let node = try reader.convert(root, line: 1)
        if node.isNull {
            self = .empty
        } else if case .mapping = node.value {
            self = node
        } else {
            throw SettingsError(
                "expected a map with keys such as 'flows:', found \(node.found)",
                from: node.origin
            )
        }
    }

    /// Describes a syntax error without the text around it, which may contain credentials.
    private static func explain(_ error: any Error, yaml: String, path: String) -> SettingsError {
        func place(_ line: Int) -> SettingsOrigin { .file(path: path, line: line) }
        switch error as? YamlError {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let begun = context.map { " (\($0.text), which begins on line \($0.mark.line))" } ?? ""
            return SettingsError("this is not YAML: \(problem)\(begun)", from: place(mark.line))
        case .duplicatedKeysInMapping(let duplicates, let context):
            let keys = duplicates.sorted().map { "'\($0)'" }.joined(separator: ", ")
            return SettingsError("more than one \(keys) in the map that begins here", from: place(context.mark.line))
        case .reader(let problem, let offset, _, _):
            let line = 1 + yaml.prefix(offset ?? 0).count { $0.isNewline }
            return SettingsError("this is not YAML: \(problem)", from: place(line))
        default:
            return SettingsError("this is not YAML", from: place(1))
        }
    }
}

/// Converts the nodes of the YAML parser.
private struct YAMLReader {
    /// The largest number of values; a few lines of aliases of aliases could expand to billions.
    private static let maximumValues = 100_000

    let path: String
    private var values = 0

    init(path: String) { self.path = path }

    mutating func convert(_ node: Node, line: Int) throws(SettingsError) -> SettingsNode {
        let origin = SettingsOrigin.file(path: path, line: node.mark?.line ?? line)
        values += 1
        if values > Self.maximumValues {
            throw SettingsError(
                "more than \(Self.maximumValues) values, including those that aliases repeat",
                from: origin
            )
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
            throw SettingsError("an alias without an anchor", from: origin)
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
                throw SettingsError("a key that is not a string", from: .file(path: path, line: line))
            }
            var node = try convert(value, line: line)
            // The line of the key, because a value that is a map or a list begins below it.
            node.origin = .file(path: path, line: line)
            if scalar.string == "<<", scalar.style == .plain {
                for (name, member) in try inherited(node) where merged[name] == nil { merged[name] = member }
            } else {
                members[scalar.string] = node
            }
        }
        return members.merging(merged) { own, _ in own }
    }

    /// Returns the members that `<<:` merges: of a map, or of a list of maps in which the first one wins.
    private func inherited(_ node: SettingsNode) throws(SettingsError) -> OrderedDictionary<String, SettingsNode> {
        switch node.value {
        case .mapping(let members): return members
        case .list(let elements):
            var members: OrderedDictionary<String, SettingsNode> = [:]
            for element in elements { members.merge(try inherited(element)) { first, _ in first } }
            return members
        case .scalar: throw SettingsError("'<<' expects a map, found \(node.found)", from: node.origin)
        }
    }
}
