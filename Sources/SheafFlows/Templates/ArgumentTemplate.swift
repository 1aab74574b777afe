import Mustache
import SheafCore

/// One argument of a program as a Mustache template over a task, parsed once and rendered for every task.
///
/// `{{name}}` is a field of the record, or else a parameter; `{{a.b.0}}` goes into objects and lists. Three names are
/// reserved, so that no record can stand in for them: `record` is the whole record, `parameters` the parameters, and
/// `sheaf` holds `batch_id`, `task_id`, `task_index`, `record_id` and `attempt`. Values are put in as they are, without
/// HTML escapes; objects and lists as JSON; `null` as nothing. A plain variable must exist, a section need not:
/// `{{#name}}…{{/name}}` is left out where the name is missing, `null`, `false`, an empty text or an empty list.
/// Partials, inheritance and pragmas are refused.
public struct ArgumentTemplate: Sendable {
    /// The template as it was written.
    public let text: String
    /// Whether it holds any tag.
    public let isTemplated: Bool
    private let template: MustacheTemplate?
    private let escape: TemplateEscape
    private let variables: [String: String]

    /// Parses a template.
    ///
    /// - Throws: ``TemplateError`` where it is not one.
    public init(_ text: String) throws(TemplateError) {
        try self.init(text, escape: .none, variables: nil)
    }

    /// Parses a template for another place than an argument.
    ///
    /// - Parameters:
    ///   - text: The template.
    ///   - escape: How values are written; `{{{name}}}` and `{{&name}}` write them as they are.
    ///   - variables: What `${NAME}` stands for; nil where it stands for itself.
    init(_ text: String, escape: TemplateEscape, variables: [String: String]?) throws(TemplateError) {
        self.text = text
        self.escape = escape
        self.variables = variables ?? [:]
        self.isTemplated = text.contains("{{") || variables != nil && text.contains("${")
        guard isTemplated else {
            // Mustache would take the white space of a text that holds nothing else.
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

    /// Fills the template in.
    ///
    /// - Throws: ``TemplateError`` where a variable names what the task has not.
    func render(_ scope: TemplateScope) throws(TemplateError) -> String {
        guard let template else { return text }
        let rendering = TemplateRendering(escape: escape, variables: variables)
        let rendered = template.render(TemplateRoot(scope: scope, rendering: rendering))
        if let path = rendering.missing.first { throw scope.missing(path) }
        return rendered
    }

    /// Fills the template in for a task.
    ///
    /// - Throws: ``TemplateError`` where a variable names what the task has not, or where the record is not JSON
    ///   although it says so.
    public func render(_ task: FlowTask) throws(TemplateError) -> String {
        guard isTemplated else { return text }
        return try render(TemplateScope(task))
    }

    private static func explain(_ error: any Error) -> String {
        switch error as? MustacheTemplate.Error {
        case .sectionCloseNameIncorrect: "a section is closed by another name than it was opened with"
        case .expectedSectionEnd: "a section is not closed"
        case .unfinishedName: "a tag is not closed, or its name is not one"
        case .invalidSetDelimiter: "the delimiters are not set as {{=<% %>=}}"
        default: "it is not a Mustache template (\(error))"
        }
    }
}

/// Says what is wrong with a template, or with a task it is filled in for.
public struct TemplateError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong, for people.
    public let description: String

    init(_ description: String) { self.description = description }
}

/// How values are written into a template, so that none can leave its place.
enum TemplateEscape: Sendable {
    /// As they are.
    case none
    /// Percent-encoded as a part of a URL: everything but letters, digits and `-._~`.
    case url
    /// In one line, as a header has it.
    case header
    /// Texts as they stand between the quotes of a JSON string.
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

    /// Whether a character has no place in a header.
    static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 && scalar != "\t" || scalar.value == 0x7F
    }
}
