/// Makes text from outside safe to show: whatever a terminal would obey becomes visible.
enum TerminalText {
    /// One line of at most so many characters.
    static func line(_ text: String, limit: Int = 200) -> String {
        var safe = ""
        for scalar in text.unicodeScalars.prefix(limit + 1) {
            safe += isHarmless(scalar) ? String(scalar) : escape(scalar)
        }
        return safe.count > limit ? safe.prefix(max(0, limit - 1)) + "…" : safe
    }

    /// The beginning of a body on one line.
    static func line(_ bytes: [UInt8], limit: Int) -> String {
        line(String(decoding: bytes, as: UTF8.self), limit: limit)
    }

    /// A body with its line breaks and tabs.
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
