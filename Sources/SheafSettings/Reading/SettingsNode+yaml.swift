import OrderedCollections
import Yams

extension SettingsNode {
    /// Reads the text of a file; nothing in it is an empty map.
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

    /// Puts a syntax error into words, without the text around it: there may be credentials in it.
    private static func explain(_ error: any Error, yaml: String, path: String) -> SettingsError {
        func place(_ line: Int) -> SettingsOrigin { .file(path: path, line: line) }
        switch error as? YamlError {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let begun = context.map { " (\($0.text), which begins in line \($0.mark.line))" } ?? ""
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
