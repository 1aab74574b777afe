/// Escapes control characters in untrusted text the way JSON does.
///
/// A record's name or an error message could otherwise set the title of the window, overwrite earlier lines, or reverse
/// the direction of writing.
enum SafeText {
    /// Returns the text on one line.
    static func line(_ text: String) -> String {
        isPlain(text) ? text : text.unicodeScalars.reduce(into: "") { $0 += shown($1) }
    }

    /// Returns the text with its line breaks and tabs.
    static func lines(_ text: String) -> String {
        isPlain(text)
            ? text : text.unicodeScalars.reduce(into: "") { $0 += $1 == "\n" || $1 == "\t" ? String($1) : shown($1) }
    }

    /// Whether the text is printable ASCII, as most texts are.
    private static func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { 0x20..<0x7F ~= $0 } }

    private static func shown(_ scalar: Unicode.Scalar) -> String {
        guard isControl(scalar) else { return String(scalar) }
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    /// Control characters, line breaks, and characters that change the direction of writing.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}

/// Writes text to a terminal with its control characters escaped.
struct SafeSink<Sink: ByteSink & Sendable>: ByteSink, Sendable {
    let sink: Sink

    func write(_ bytes: [UInt8]) throws {
        try sink.write(Array(SafeText.lines(String(decoding: bytes, as: UTF8.self)).utf8))
    }
}

/// Shortens untrusted text for tables and escapes every character that is not printable.
enum TerminalText {
    /// Returns one line of at most `limit` characters.
    static func line(_ text: String, limit: Int = 200) -> String {
        var safe = ""
        for scalar in text.unicodeScalars.prefix(limit + 1) {
            safe += isHarmless(scalar) ? String(scalar) : escape(scalar)
        }
        return safe.count > limit ? safe.prefix(max(0, limit - 1)) + "…" : safe
    }

    /// Returns the beginning of a body on one line.
    static func line(_ bytes: [UInt8], limit: Int) -> String {
        line(String(decoding: bytes, as: UTF8.self), limit: limit)
    }

    /// Returns a body with its line breaks and tabs.
    static func block(_ bytes: [UInt8]) -> String {
        var safe = ""
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            safe += isHarmless(scalar) || scalar == "\n" || scalar == "\t" ? String(scalar) : escape(scalar)
        }
        return safe
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default: "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
        }
    }

    private static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}
