import Mustache
import SheafCore

/// One argument of a program as a Mustache template over a task, parsed once and rendered for every task.
///
/// `{{name}}` is a field of the record, or a parameter if there is no such field; `{{a.b.0}}` is a value inside objects
/// and lists. Three names are reserved, and no field of a record overrides them: `record` is the whole record,
/// `parameters` the parameters, and `sheaf` holds `batch_id`, `task_id`, `task_index`, `record_id` and `attempt`.
/// Values are inserted without HTML escapes, objects and lists as JSON, and `null` as nothing. A variable must exist, a
/// section need not: `{{#name}}…{{/name}}` is left out if the name is missing, `null`, `false`, an empty string or an
/// empty list. Partials, inheritance and pragmas are not allowed.
package struct ArgumentTemplate: Sendable {
    /// The template as it was written.
    package let text: String
    /// Whether the template contains any tag.
    package let isTemplated: Bool
    private let template: MustacheTemplate?
    private let escape: TemplateEscape
    private let variables: [String: String]

    /// Parses a template.
    ///
    /// - Throws: ``TemplateError`` if the string is not a template.
    package init(_ text: String) throws(TemplateError) {
        try self.init(text, escape: .none, variables: nil)
    }

    /// Parses a template for a place other than an argument.
    ///
    /// - Parameters:
    ///   - text: The template.
    ///   - escape: How values are written; `{{{name}}}` and `{{&name}}` write them as they are.
    ///   - variables: The values of `${NAME}`; nil if it is not replaced.
    init(_ text: String, escape: TemplateEscape, variables: [String: String]?) throws(TemplateError) {
        self.text = text
        self.escape = escape
        self.variables = variables ?? [:]
        self.isTemplated = text.contains("{{") || variables != nil && text.contains("${")
        guard isTemplated else {
            // Mustache would remove the white space of a string that contains nothing else.
            self.template = nil
            return
        }
        var tags = TemplateTags(text, expandsVariables: variables != nil)
        let safe = try tags.rewritten()
        do {
            self.template = try MustacheTemplate(string: safe)
        } catch let error as MustacheTemplate.ParserError {
            throw TemplateError(Self.explain(error.error))
        } catch {
            throw TemplateError("\(error)")
        }
    }

    /// Renders the template.
    ///
    /// - Throws: ``TemplateError`` if the task has no value for a variable.
    func render(_ scope: TemplateScope) throws(TemplateError) -> String {
        guard let template else { return text }
        let rendering = TemplateRendering(escape: escape, variables: variables)
        let rendered = template.render(TemplateRoot(scope: scope, rendering: rendering))
        if let path = rendering.missing.first { throw scope.missing(path) }
        return rendered
    }

    /// Renders the template for a task.
    ///
    /// - Throws: ``TemplateError`` if the task has no value for a variable, or if a record of JSON is not valid JSON.
    package func render(_ task: FlowTask) throws(TemplateError) -> String {
        guard isTemplated else { return text }
        return try render(TemplateScope(task))
    }

    private static func explain(_ error: any Error) -> String {
        switch error as? MustacheTemplate.Error {
        case .sectionCloseNameIncorrect: "a section is closed with another name than it was opened with"
        case .expectedSectionEnd: "a section is not closed"
        case .unfinishedName: "a tag is not closed, or its name is invalid"
        case .invalidSetDelimiter: "the delimiters are not set as {{=<% %>=}}"
        default: "it is not a valid Mustache template (\(error))"
        }
    }
}

/// Reports what is wrong with a template, or with the task that it is rendered for.
package struct TemplateError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong, for people.
    package let description: String

    init(_ description: String) { self.description = description }
}

/// How values are escaped in a template, so that no value can change the structure around it.
enum TemplateEscape: Sendable {
    /// As they are.
    case none
    /// Percent-encoded as a part of a URL: everything except letters, digits and `-._~`.
    case url
    /// In one line, as in a header.
    case header
    /// Strings as they stand between the quotes of JSON.
    case json

    func write(_ value: JSONValue) -> String {
        let text = value.renderedText
        switch self {
        case .none: return text
        case .url: return PercentEncoding.encode(text)
        case .header:
            return String(String.UnicodeScalarView(text.unicodeScalars.map { Self.isControl($0) ? " " : $0 }))
        case .json:
            guard case .string = value else { return value == .null ? "null" : text }
            var bytes: [UInt8] = []
            JSON.write(text, to: &bytes)
            return String(decoding: bytes.dropFirst().dropLast(), as: UTF8.self)
        }
    }

    /// Returns whether a character is not allowed in a header.
    static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 && scalar != "\t" || scalar.value == 0x7F
    }
}
