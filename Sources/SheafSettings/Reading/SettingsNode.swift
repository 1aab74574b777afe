import OrderedCollections
import SheafCore

/// A value of the configuration with the place it comes from, whatever wrote it there.
struct SettingsNode: Sendable, Equatable {
    /// The shapes a value has.
    enum Value: Sendable, Equatable {
        case scalar(SettingsScalar)
        case list([SettingsNode])
        case mapping(OrderedDictionary<String, SettingsNode>)
    }

    var value: Value
    var origin: SettingsOrigin

    /// Nothing at all.
    static let empty = SettingsNode(value: .mapping([:]), origin: .builtIn)

    init(value: Value, origin: SettingsOrigin) {
        self.value = value
        self.origin = origin
    }

    /// Makes a text.
    init(text: String, origin: SettingsOrigin) {
        self.init(value: .scalar(SettingsScalar(text: text)), origin: origin)
    }

    /// Makes a value from JSON; every part of it has the same origin.
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

    /// What the value is, for messages that say what was found.
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
