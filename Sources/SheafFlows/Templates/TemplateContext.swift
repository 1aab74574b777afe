import Mustache
import SheafCore

/// The outermost context of a template: a task.
struct TemplateRoot: MustacheParent, MustacheCustomRenderable {
    let scope: TemplateScope
    let rendering: TemplateRendering

    func child(named name: String) -> Any? {
        if let variable = FieldName.variable(name) {
            guard let value = rendering.variables[variable] else {
                return MissingField(path: ["${\(variable)}"], rendering: rendering)
            }
            return TemplateValue(value: .string(value), rendering: rendering)
        }
        let (path, isRaw) = FieldName.path(name)
        guard let first = path.first, let value = scope[first] else {
            return MissingField(path: path, rendering: rendering)
        }
        return value.wrapped(following: path.dropFirst(), of: path, rendering, isRaw: isRaw)
    }

    var renderText: String { rendering.escape.write(scope.record) }
    var isNull: Bool { false }
}

/// A value of a record or a parameter as the template engine sees it.
struct TemplateValue: MustacheParent, MustacheCustomRenderable {
    let value: JSONValue
    let rendering: TemplateRendering
    /// Whether the value is inserted as it is, without escapes.
    var isRaw = false

    /// Returns the member at that path, or nil if even its first part is missing: an outer section may have it.
    func child(named name: String) -> Any? {
        if FieldName.variable(name) != nil { return nil }
        let (path, isRaw) = FieldName.path(name)
        guard let first = path.first, let member = value[first] else { return nil }
        return member.wrapped(following: path.dropFirst(), of: path, rendering, isRaw: isRaw)
    }

    var renderText: String { isRaw ? value.renderedText : rendering.escape.write(value) }

    /// Whether a section over the value is left out.
    var isNull: Bool { value == .null || value == .string("") }
}

/// A list as the template engine sees it.
struct TemplateList: MustacheSequence, MustacheParent, MustacheCustomRenderable {
    let elements: [JSONValue]
    let rendering: TemplateRendering

    func makeIterator() -> some IteratorProtocol<Any> {
        elements.lazy.map { $0.wrapped(rendering) }.makeIterator()
    }

    // Without this, the engine would look names up among the properties of this type.
    func child(named: String) -> Any? { nil }

    var renderText: String { rendering.escape.write(.array(elements)) }
    var isNull: Bool { false }
}

/// The value of a name that does not exist: false for a section, and an error if it is inserted.
struct MissingField: MustacheCustomRenderable {
    let path: [String]
    let rendering: TemplateRendering

    var renderText: String {
        rendering.missing.append(path)
        return ""
    }

    var isNull: Bool { true }
}

/// One rendering of a template: how values are escaped, and which names were missing.
final class TemplateRendering {
    /// How values are escaped.
    let escape: TemplateEscape
    /// The values of `${NAME}`.
    let variables: [String: String]
    /// The paths without a value.
    var missing: [[String]] = []

    init(escape: TemplateEscape, variables: [String: String]) {
        self.escape = escape
        self.variables = variables
    }
}

extension JSONValue {
    /// Wraps the value in the type that the engine needs to treat it correctly.
    func wrapped(_ rendering: TemplateRendering, isRaw: Bool = false) -> Any {
        switch self {
        case .bool(let flag): flag
        case .array(let elements): TemplateList(elements: elements, rendering: rendering)
        default: TemplateValue(value: self, rendering: rendering, isRaw: isRaw)
        }
    }

    /// Follows the rest of a path, by member names and by positions in lists, and wraps the value found.
    func wrapped(
        following rest: ArraySlice<String>,
        of path: [String],
        _ rendering: TemplateRendering,
        isRaw: Bool
    ) -> Any {
        var value = self
        for part in rest {
            guard let member = value.member(part) else {
                return MissingField(path: path, rendering: rendering)
            }
            value = member
        }
        return value.wrapped(rendering, isRaw: isRaw)
    }

    /// Returns the member of that name, or the element at that position.
    func member(_ name: String) -> JSONValue? {
        if let member = self[name] { return member }
        guard let elements = arrayValue, let position = Int(name), elements.indices.contains(position) else {
            return nil
        }
        return elements[position]
    }

    /// The value as it is inserted into an argument: a string as it is, `null` as nothing, any other value as JSON.
    var renderedText: String {
        switch self {
        case .string(let text): text
        case .null: ""
        default: self.text
        }
    }
}
