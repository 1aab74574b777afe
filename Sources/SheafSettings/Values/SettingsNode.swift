import OrderedCollections
import SheafCore

/// A value of the configuration with its place, from a file, a variable or a flag.
struct SettingsNode: Sendable, Equatable {
    /// The shape of a value.
    enum Value: Sendable, Equatable {
        case scalar(SettingsScalar)
        case list([SettingsNode])
        case mapping(OrderedDictionary<String, SettingsNode>)
    }

    var value: Value
    var origin: SettingsOrigin

    /// An empty map.
    static let empty = SettingsNode(value: .mapping([:]), origin: .builtIn)

    init(value: Value, origin: SettingsOrigin) {
        self.value = value
        self.origin = origin
    }

    /// Creates a string.
    init(text: String, origin: SettingsOrigin) {
        self.init(value: .scalar(SettingsScalar(text: text)), origin: origin)
    }

    /// Creates a value from JSON; every part of it has the same origin.
    init(json: JSONValue, origin: SettingsOrigin) {
        self.origin = origin
        switch json {
        case .null: self.value = .scalar(SettingsScalar(text: "null", kind: .null))
        case .bool(let flag): self.value = .scalar(SettingsScalar(text: "\(flag)", kind: .bool(flag)))
        case .number(let digits): self.value = .scalar(SettingsScalar(text: digits, kind: .number(digits)))
        case .string(let text): self.value = .scalar(SettingsScalar(text: text))
        case .array(let elements): self.value = .list(elements.map { SettingsNode(json: $0, origin: origin) })
        case .object(let members): self.value = .mapping(members.mapValues { SettingsNode(json: $0, origin: origin) })
        }
    }

    var isNull: Bool {
        if case .scalar(let scalar) = value { scalar.kind == .null } else { false }
    }

    /// The value as JSON, without places.
    var json: JSONValue {
        switch value {
        case .scalar(let scalar): scalar.json
        case .list(let elements): .array(elements.map(\.json))
        case .mapping(let members): .object(members.mapValues(\.json))
        }
    }

    /// A description of the value for error messages.
    var found: String {
        switch value {
        case .list: return "a list"
        case .mapping: return "a map"
        case .scalar(let scalar):
            switch scalar.kind {
            case .null: return "nothing"
            case .bool: return scalar.text
            case .number: return "the number \(scalar.text)"
            case .text: return "'\(scalar.text.count > 60 ? "\(scalar.text.prefix(59))…" : scalar.text)'"
            }
        }
    }
}

extension SettingsNode {
    /// Applies `key.path=value`; the value is JSON if it can be parsed, else a string.
    mutating func apply(assignment: String) throws(SettingsError) {
        guard let equals = assignment.firstIndex(of: "=") else {
            throw SettingsError("expected --set key.path=value", from: .flag("--set"))
        }
        let path = String(assignment[..<equals])
        let parts = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let origin = SettingsOrigin.flag("--set \(path)")
        if parts.contains(where: \.isEmpty) {
            throw SettingsError(
                "a key is missing in '\(path)'; expected --set key.path=value",
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
            throw SettingsError("\(above) is not a map but \(found) (\(origin))", at: path, from: node.origin)
        }
        var member = members[part] ?? SettingsNode(value: .mapping([:]), origin: node.origin)
        try member.set(node, at: parts.dropFirst(), of: path)
        members[part] = member
        value = .mapping(members)
    }

    /// Sets a key at the top, unless the value is nil.
    mutating func set(_ key: String, to text: String?, from origin: SettingsOrigin) {
        guard let text, case .mapping(var members) = value else { return }
        members[key] = SettingsNode(text: text, origin: origin)
        value = .mapping(members)
    }
}

/// A value without parts: the text as written, and the type it stands for.
struct SettingsScalar: Sendable, Equatable {
    /// The type of a scalar.
    enum Kind: Sendable, Equatable {
        case null
        case bool(Bool)
        case number(String)
        case text
    }

    let text: String
    let kind: Kind

    init(text: String, kind: Kind = .text) {
        self.text = text
        self.kind = kind
    }

    /// Interprets an unquoted scalar by the core schema of YAML 1.2, in which `no` and `on` are strings.
    ///
    /// Digits after a leading 0 are a string too: they are far more often an article number or postal code.
    init(plain text: String) {
        switch text {
        case "", "~", "null", "Null", "NULL": self.init(text: text, kind: .null)
        case "true", "True", "TRUE": self.init(text: text, kind: .bool(true))
        case "false", "False", "FALSE": self.init(text: text, kind: .bool(false))
        default: self.init(text: text, kind: Self.number(text).map(Kind.number) ?? .text)
        }
    }

    /// Returns the digits of a number as JSON writes them, or nil if the text is not a number.
    private static func number(_ text: String) -> String? {
        if case .number(let digits) = try? JSON.parse(text) { return digits }
        for (prefix, radix) in [("0x", 16), ("0o", 8)] where text.hasPrefix(prefix) {
            return Int(text.dropFirst(2), radix: radix).map(String.init)
        }
        let unsigned = text.drop { $0 == "+" || $0 == "-" }
        guard text.count - unsigned.count <= 1,
            unsigned.utf8.allSatisfy({ 0x30...0x39 ~= $0 || "+-.eE".utf8.contains($0) }),
            unsigned.contains(where: \.isNumber),
            !(unsigned.first == "0" && unsigned.dropFirst().first?.isNumber == true),
            let value = Double(text), value.isFinite
        else { return nil }
        return Int(text).map(String.init) ?? String(value)
    }

    /// The value as JSON.
    var json: JSONValue {
        switch kind {
        case .null: .null
        case .bool(let flag): .bool(flag)
        case .number(let digits): .number(digits)
        case .text: .string(text)
        }
    }
}
