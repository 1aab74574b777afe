/// Goes through the tags of a template: refuses those that have no place in an argument and writes the others so that
/// the engine neither escapes values nor stumbles over names.
struct TemplateTags {
    private var rest: Substring
    private var opening = "{{"
    private var closing = "}}"
    private var depth = 0
    private let expandsVariables: Bool

    init(_ text: String, expandsVariables: Bool) {
        self.rest = text[...]
        self.expandsVariables = expandsVariables
    }

    /// The template with every variable unescaped and every name encoded.
    mutating func rewritten() throws(TemplateError) -> String {
        var output = ""
        while let start = rest.firstRange(of: opening) {
            output += try expanded(rest[..<start.lowerBound])
            rest = rest[start.upperBound...]
            output += try takeTag()
        }
        return output + (try expanded(rest))
    }

    private mutating func takeTag() throws(TemplateError) -> String {
        let isTriple = opening == "{{" && rest.first == "{"
        guard let end = rest.firstRange(of: isTriple ? "}" + closing : closing) else {
            throw TemplateError("the tag '\(shortened(opening + rest))' is not closed")
        }
        let whole = rest[..<end.lowerBound].drop(while: \.isWhitespace)
        rest = rest[end.upperBound...]
        if isTriple { return try raw(whole.dropFirst()) }
        switch whole.first {
        case "!": return "\(opening)\(whole)\(closing)"
        case "&": return try raw(whole.dropFirst())
        case "#", "^":
            depth += 1
            return "\(opening)\(whole.prefix(1))\(try encoded(whole.dropFirst()))\(closing)"
        case "/":
            depth -= 1
            if depth < 0 { throw TemplateError("the tag '\(opening)\(whole)\(closing)' closes no section") }
            return "\(opening)/\(try encoded(whole.dropFirst()))\(closing)"
        case "=": return try setDelimiters(whole)
        case ">", "<", "$", "%", "*":
            throw TemplateError("the tag '\(opening)\(whole)\(closing)' is none that arguments have")
        default: return "\(opening)&\(try encoded(whole))\(closing)"
        }
    }

    private func raw(_ name: Substring) throws(TemplateError) -> String {
        let name = try encoded(name)
        return "\(opening)&\(name == "." ? "" : FieldName.rawMark)\(name)\(closing)"
    }

    /// Text between tags with `${NAME}` made a tag of its own.
    private func expanded(_ text: Substring) throws(TemplateError) -> String {
        guard expandsVariables else { return String(text) }
        var output = ""
        var text = text
        while let start = text.firstRange(of: "${") {
            output += text[..<start.lowerBound]
            guard let end = text[start.upperBound...].firstIndex(of: "}") else {
                throw TemplateError("'${' without '}'")
            }
            let name = text[start.upperBound..<end]
            guard !name.isEmpty, name.utf8.allSatisfy(Self.isVariable) else {
                throw TemplateError("'${\(shortened(name))}' names no variable of the environment")
            }
            output += "\(opening)&\(FieldName.variableMark)\(name)\(closing)"
            text = text[text.index(after: end)...]
        }
        return output + text
    }

    private static func isVariable(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// Takes `=<% %>=`, for arguments that hold braces of their own.
    private mutating func setDelimiters(_ whole: Substring) throws(TemplateError) -> String {
        let parts = whole.dropFirst().dropLast().split(whereSeparator: \.isWhitespace)
        guard whole.last == "=", parts.count == 2 else {
            throw TemplateError("the delimiters are not set as {{=<% %>=}}")
        }
        // The engine forgets within a section what was set there.
        if depth > 0 { throw TemplateError("delimiters cannot be set inside a section") }
        let tag = "\(opening)\(whole)\(closing)"
        opening = String(parts[0])
        closing = String(parts[1])
        return tag
    }

    private func encoded(_ text: Substring) throws(TemplateError) -> String {
        let name = text.trimmed
        if name == "." { return "." }
        if name.isEmpty { throw TemplateError("a tag has no name") }
        if name.split(separator: ".", omittingEmptySubsequences: false).contains(where: \.isEmpty) {
            throw TemplateError("'\(name)' is not a name: something is missing beside a dot")
        }
        if name.contains(where: { "{}<>".contains($0) || $0.isNewline }) {
            throw TemplateError("'\(shortened(name))' is not a name; is a tag not closed?")
        }
        return FieldName.encode(name)
    }

    private func shortened(_ text: some StringProtocol) -> String {
        text.count > 40 ? "\(text.prefix(39))…" : String(text)
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var part = drop(while: \.isWhitespace)
        while part.last?.isWhitespace == true { part.removeLast() }
        return part
    }
}
