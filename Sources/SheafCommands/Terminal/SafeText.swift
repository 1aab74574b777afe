/// Text from elsewhere as it may be shown: what a terminal obeys instead of showing it is written as JSON writes it.
///
/// A record's name or an error message could otherwise set the window's title, overwrite lines that were shown before,
/// or turn the direction of writing around.
enum SafeText {
    /// The text on one line.
    static func line(_ text: String) -> String {
        isPlain(text) ? text : text.unicodeScalars.reduce(into: "") { $0 += shown($1) }
    }

    /// The text with its line breaks and tabs.
    static func lines(_ text: String) -> String {
        isPlain(text)
            ? text : text.unicodeScalars.reduce(into: "") { $0 += $1 == "\n" || $1 == "\t" ? String($1) : shown($1) }
    }

    /// Whether there is nothing but printable ASCII in it, as in most texts.
    private static func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { 0x20..<0x7F ~= $0 } }

    private static func shown(_ scalar: Unicode.Scalar) -> String {
        guard isOrder(scalar) else { return String(scalar) }
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    /// Control characters, breaks of lines, and what changes the direction of writing.
    private static func isOrder(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}

/// Writes to a terminal what ``SafeText`` leaves of it.
struct SafeSink<Sink: ByteSink & Sendable>: ByteSink, Sendable {
    let sink: Sink

    func write(_ bytes: [UInt8]) throws(WriteError) {
        try sink.write(Array(SafeText.lines(String(decoding: bytes, as: UTF8.self)).utf8))
    }
}
