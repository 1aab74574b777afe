import OrderedCollections
import SheafCore

/// A JSON Schema (draft 2020-12), as far as the description of the API needs one.
struct Schema: Sendable {
    private(set) var members: OrderedDictionary<String, JSONValue>
    /// Whether an object may lack the member that has this schema.
    private(set) var isOptional = false

    private init(_ members: OrderedDictionary<String, JSONValue>) { self.members = members }

    /// Whether a parameter has one value, not several.
    var isSingle: Bool { members["type"] != "array" }

    /// The schema as it is served.
    var json: JSONValue { .object(members) }
}

// MARK: Kinds of values

extension Schema {
    /// Any JSON value.
    static let any = Schema([:])
    static let string = Schema(["type": "string"])
    static let boolean = Schema(["type": "boolean"])
    static let number = Schema(["type": "number"])
    /// A timestamp (RFC 3339).
    static let time = Schema(["type": "string", "format": "date-time"])

    /// An integer in a range.
    static func integer(_ range: ClosedRange<Int>) -> Schema {
        Schema(["type": "integer", "minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound)])
    }

    /// An integer of at least `least`.
    static func integer(from least: Int = 0) -> Schema { Schema(["type": "integer", "minimum": .integer(least)]) }

    /// A string that matches a regular expression.
    static func string(matching pattern: String) -> Schema { Schema(["type": "string", "pattern": .string(pattern)]) }

    /// A string with a number of characters.
    static func string(length: ClosedRange<Int>) -> Schema {
        Schema([
            "type": "string", "minLength": .integer(length.lowerBound), "maxLength": .integer(length.upperBound),
        ])
    }

    /// One of some words.
    static func words(_ words: [String]) -> Schema {
        Schema(["type": "string", "enum": .array(words.map(JSONValue.string))])
    }

    /// One of the words of a type.
    static func word<Word: RawRepresentable<String> & CaseIterable>(_ type: Word.Type) -> Schema {
        words(type.allCases.map(\.rawValue))
    }

    /// Exactly one value.
    static func constant(_ value: JSONValue) -> Schema { Schema(["const": value]) }

    /// An array.
    static func list(of element: Schema) -> Schema { Schema(["type": "array", "items": element.json]) }

    /// An object with members of any name.
    static func map(of value: Schema) -> Schema {
        Schema(["type": "object", "additionalProperties": value.json])
    }

    /// An object of a response: it has all of these members but the optional ones, and later versions may add others.
    static func object(_ members: KeyValuePairs<String, Schema>) -> Schema {
        Schema(["type": "object"]).adding(members)
    }

    /// An object of a request: it has only these members.
    static func closed(_ members: KeyValuePairs<String, Schema>) -> Schema {
        object(members).with("additionalProperties", false)
    }

    /// A schema that has a name of its own.
    static func shape(_ shape: Shape) -> Schema {
        Schema(["$ref": .string("#/components/schemas/\(shape.rawValue)")])
    }

    /// A value that matches at least one of some schemas.
    static func anyOf(_ schemas: [Schema]) -> Schema { Schema(["anyOf": .array(schemas.map(\.json))]) }
}

// MARK: Changes

extension Schema {
    /// The value or null.
    var orNull: Schema {
        guard let type = members["type"] else { return .anyOf([self, Schema(["type": "null"])]) }
        var schema = with("type", [type, "null"])
        if let words = members["enum"]?.arrayValue { schema.members["enum"] = .array(words + [.null]) }
        return schema
    }

    /// The schema of a member that an object may lack.
    var optional: Schema {
        var schema = self
        schema.isOptional = true
        return schema
    }

    /// Returns the schema with a sentence about the value.
    func about(_ text: String) -> Schema { with("description", .string(text)) }

    /// Returns the schema with a default, which is what a missing value means.
    func otherwise(_ value: JSONValue) -> Schema { with("default", value).optional }

    /// Returns the schema with one more keyword.
    func with(_ keyword: String, _ value: JSONValue) -> Schema {
        var schema = self
        schema.members[keyword] = value
        return schema
    }

    /// Returns the schema of an object with more members.
    func adding(_ added: KeyValuePairs<String, Schema>) -> Schema {
        var schema = self
        var properties = members["properties"]?.objectValue ?? [:]
        var required = members["required"]?.arrayValue ?? []
        for (name, value) in added {
            properties[name] = value.json
            if !value.isOptional { required.append(.string(name)) }
        }
        schema.members["properties"] = .object(properties)
        schema.members["required"] = required.isEmpty ? nil : .array(required)
        return schema
    }
}
