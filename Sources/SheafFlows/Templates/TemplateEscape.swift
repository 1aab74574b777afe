import SheafCore

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
