import OrderedCollections
package import SheafCore

/// A JSON value whose strings are templates.
///
/// A string that is a single tag, such as `"{{count}}"`, becomes the value itself, with its type; any other string
/// stays a string, whatever is inserted. So no value can change the structure around it.
package struct JSONTemplate: Sendable {
    private indirect enum Node: Sendable {
        case fixed(JSONValue)
        case text(ArgumentTemplate)
        case value([String])
        case array([Node])
        case object([(name: String, value: Node)])
    }

    /// The value as it was written.
    package let source: JSONValue
    private let root: Node

    /// Parses the strings of a value.
    ///
    /// - Parameters:
    ///   - source: The value.
    ///   - variables: The values of `${NAME}` in strings; nil if it is not replaced.
    /// - Throws: ``TemplateError`` if a string is not a template.
    package init(_ source: JSONValue, variables: [String: String]? = nil) throws(TemplateError) {
        self.source = source
        self.root = try Self.parse(source, variables)
    }

    private static func parse(_ value: JSONValue, _ variables: [String: String]?) throws(TemplateError) -> Node {
        switch value {
        case .string(let text):
            let template = try ArgumentTemplate(text, escape: .none, variables: variables)
            if !template.isTemplated { return .fixed(value) }
            return path(text).map { .value($0) } ?? .text(template)
        case .array(let elements):
            var nodes: [Node] = []
            for element in elements { nodes.append(try parse(element, variables)) }
            return .array(nodes)
        case .object(let members):
            var nodes: [(String, Node)] = []
            for (name, member) in members { nodes.append((name, try parse(member, variables))) }
            return .object(nodes)
        default: return .fixed(value)
        }
    }

    /// Returns the path of a string that is a single variable; nil if it is anything else.
    private static func path(_ text: String) -> [String]? {
        guard text.hasPrefix("{{"), text.hasSuffix("}}") else { return nil }
        let name = String(text.dropFirst(2).dropLast(2).drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        guard !name.isEmpty, !name.contains(where: { "{}#^/!&=<>$%*".contains($0) || $0.isNewline })
        else { return nil }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        return parts.contains("") ? nil : parts
    }

    /// Renders the strings.
    ///
    /// - Throws: ``TemplateError`` if the task has no value for a variable.
    func render(_ scope: TemplateScope) throws(TemplateError) -> JSONValue { try Self.render(root, scope) }

    private static func render(_ node: Node, _ scope: TemplateScope) throws(TemplateError) -> JSONValue {
        switch node {
        case .fixed(let value): return value
        case .text(let template): return .string(try template.render(scope))
        case .value(let path):
            guard let value = scope.value(at: path) else { throw scope.missing(path) }
            return value
        case .array(let nodes):
            var elements: [JSONValue] = []
            for node in nodes { elements.append(try render(node, scope)) }
            return .array(elements)
        case .object(let nodes):
            var value: JSONValue = [:]
            for (name, node) in nodes { value.set(name, to: try render(node, scope)) }
            return value
        }
    }
}

extension JSONValue {
    /// Sets a member of an object; does nothing to other values.
    mutating func set(_ name: String, to value: JSONValue) {
        guard case .object(var members) = self else { return }
        members[name] = value
        self = .object(members)
    }
}
