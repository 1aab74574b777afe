import OrderedCollections
import SheafCore

extension SettingsNode {
    /// Lays `key.path=value` over what is there; the value is JSON, or else a text.
    mutating func apply(assignment: String) throws(SettingsError) {
        guard let equals = assignment.firstIndex(of: "=") else {
            throw SettingsError("it is written --set key.path=value", from: .flag("--set"))
        }
        let path = String(assignment[..<equals])
        let parts = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let origin = SettingsOrigin.flag("--set \(path)")
        if parts.contains(where: \.isEmpty) {
            throw SettingsError(
                "a key is missing in '\(path)'; it is written --set key.path=value",
                from: .flag("--set")
            )
        }
        let text = String(assignment[assignment.index(after: equals)...])
        let value = (try? JSON.parse(text)).map { SettingsNode(json: $0, origin: origin) }
        try set(value ?? SettingsNode(text: text, origin: origin), at: parts[...], of: path)
    }

    private mutating func set(_ node: SettingsNode, at parts: ArraySlice<String>, of path: String) throws(SettingsError)
    {
        guard let part = parts.first else {
            self = node
            return
        }
        var members: OrderedDictionary<String, SettingsNode>
        switch value {
        case .mapping(let present): members = present
        case .scalar where isNull: members = [:]
        case .scalar, .list:
            let above = path.split(separator: ".").dropLast(parts.count).joined(separator: ".")
            throw SettingsError("\(above) is no map but \(found) (\(origin))", at: path, from: node.origin)
        }
        var member = members[part] ?? SettingsNode(value: .mapping([:]), origin: node.origin)
        try member.set(node, at: parts.dropFirst(), of: path)
        members[part] = member
        value = .mapping(members)
    }

    /// Puts a value at the top.
    mutating func set(_ key: String, to text: String?, from origin: SettingsOrigin) {
        guard let text, case .mapping(var members) = value else { return }
        members[key] = SettingsNode(text: text, origin: origin)
        value = .mapping(members)
    }
}
