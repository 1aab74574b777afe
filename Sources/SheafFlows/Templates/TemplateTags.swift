/// Rewrites the tags of a template so that the engine neither escapes values nor rejects names; throws if a tag is not
/// allowed.
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

    /// Returns the template with every variable unescaped and every name encoded.
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
            throw TemplateError("the tag '\(opening)\(whole)\(closing)' is not allowed here")
        default: return "\(opening)&\(try encoded(whole))\(closing)"
        }
    }

    private func raw(_ name: Substring) throws(TemplateError) -> String {
        let name = try encoded(name)
        return "\(opening)&\(name == "." ? "" : FieldName.rawMark)\(name)\(closing)"
    }

    /// Returns text between tags with each `${NAME}` turned into a tag.
    private func expanded(_ text: Substring) throws(TemplateError) -> String {
        guard expandsVariables else { return String(text) }
        var output = ""
        var text = text
        while let start = text.firstRange(of: "${") {
            output += text[..<start.lowerBound]
            guard let end = text[start.upperBound...].firstIndex(of: "}") else {
                throw TemplateError("'${' is not closed by '}'")
            }
            let name = text[start.upperBound..<end]
            guard !name.isEmpty, name.utf8.allSatisfy(Self.isVariable) else {
                throw TemplateError("'${\(shortened(name))}' is not a name of an environment variable")
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

    /// Handles `=<% %>=`, for arguments that contain braces of their own.
    private mutating func setDelimiters(_ whole: Substring) throws(TemplateError) -> String {
        let parts = whole.dropFirst().dropLast().split(whereSeparator: \.isWhitespace)
        guard whole.last == "=", parts.count == 2 else {
            throw TemplateError("the delimiters are not set as {{=<% %>=}}")
        }
        // The engine does not keep delimiters that are set inside a section.
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
            throw TemplateError("'\(name)' is not a name: a part before or after a dot is missing")
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

/// Encodes field names in the few characters that the template engine accepts in a name.
///
/// Mustache rejects field names such as `Price (EUR)` or `größe`. Each byte that it rejects is written as `*` and two
/// hexadecimal digits, and so is the dot, because members of objects are looked up here and not by the engine.
enum FieldName {
    static func encode(_ name: some StringProtocol) -> String {
        var encoded: [UInt8] = []
        for byte in name.utf8 {
            if isPlain(byte) {
                encoded.append(byte)
            } else {
                encoded += [UInt8(ascii: "*"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    static func decode(_ name: String) -> String {
        guard name.utf8.contains(UInt8(ascii: "*")) else { return name }
        let bytes = Array(name.utf8)
        var decoded: [UInt8] = []
        var position = 0
        while position < bytes.count {
            if bytes[position] == UInt8(ascii: "*"), position + 2 < bytes.count,
                let high = digits.firstIndex(of: bytes[position + 1]),
                let low = digits.firstIndex(of: bytes[position + 2])
            {
                decoded.append(UInt8(high << 4 | low))
                position += 3
            } else {
                decoded.append(bytes[position])
                position += 1
            }
        }
        return String(decoding: decoded, as: UTF8.self)
    }

    /// Marks a name whose value is inserted as it is; no encoded name of a field begins like this.
    static let rawMark = "*-"
    /// Marks the name of an environment variable.
    static let variableMark = "*?"

    /// Returns the parts of an encoded name, and whether its value is inserted as it is.
    static func path(_ name: String) -> (parts: [String], isRaw: Bool) {
        let isRaw = name.hasPrefix(rawMark)
        let text = decode(isRaw ? String(name.dropFirst(rawMark.count)) : name)
        return (text.split(separator: ".").map(String.init), isRaw)
    }

    /// Returns the environment variable that an encoded name stands for; nil if it stands for a field.
    static func variable(_ name: String) -> String? {
        name.hasPrefix(variableMark) ? decode(String(name.dropFirst(variableMark.count))) : nil
    }

    private static let digits = Array("0123456789ABCDEF".utf8)

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
