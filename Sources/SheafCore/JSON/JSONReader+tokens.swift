/// Where a string stands between its quotes, and whether it needs decoding.
struct StringSpan {
    let range: Range<Int>
    let hasEscapes: Bool
}

extension JSONReader {
    /// Moves behind the number at the cursor and returns its range.
    mutating func scanNumber() throws(JSONError) -> Range<Int> {
        let start = position
        if position < bytes.count, bytes[position] == UInt8(ascii: "-") { position += 1 }
        guard position < bytes.count, isDigit(bytes[position]) else { throw fail("expected a value") }
        if bytes[position] == UInt8(ascii: "0") { position += 1 } else { skipDigits() }
        if position < bytes.count, isDigit(bytes[position]) { throw fail("a number may not start with 0") }
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position += 1
            guard position < bytes.count, isDigit(bytes[position]) else { throw fail("expected a digit") }
            skipDigits()
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
                position += 1
            }
            guard position < bytes.count, isDigit(bytes[position]) else { throw fail("expected a digit") }
            skipDigits()
        }
        return start..<position
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    private mutating func skipDigits() {
        while position < bytes.count, isDigit(bytes[position]) { position += 1 }
    }

    /// Moves behind the string at the cursor and checks its escapes and its UTF-8.
    mutating func scanString() throws(JSONError) -> StringSpan {
        position += 1
        let start = position
        var hasEscapes = false
        var isASCII = true
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                let range = start..<position
                if !isASCII, String(validating: bytes[range], as: UTF8.self) == nil {
                    position = start
                    throw fail("a string that is not UTF-8")
                }
                position += 1
                return StringSpan(range: range, hasEscapes: hasEscapes)
            }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                try skipEscape()
                continue
            }
            if byte < 0x20 { throw fail("a control character inside a string") }
            if byte >= 0x80 { isASCII = false }
            position += 1
        }
        throw fail("")
    }

    private mutating func skipEscape() throws(JSONError) {
        position += 1
        guard position < bytes.count else { throw fail("") }
        switch bytes[position] {
        case UInt8(ascii: "u"):
            position += 1
            _ = try scanHex()
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 1
        default: throw fail("an unknown escape in a string")
        }
    }

    private mutating func scanHex() throws(JSONError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard position < bytes.count, let digit = Self.hexDigit(bytes[position]) else {
                throw fail("expected four hexadecimal digits")
            }
            value = value << 4 | digit
            position += 1
        }
        return value
    }

    private static func hexDigit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 0x30...0x39: UInt32(byte) - 0x30
        case 0x41...0x46: UInt32(byte) - 0x37
        case 0x61...0x66: UInt32(byte) - 0x57
        default: nil
        }
    }

    /// The text of a string that ``scanString()`` has checked; a lone surrogate becomes U+FFFD.
    func decode(_ span: StringSpan) throws(JSONError) -> String {
        if !span.hasEscapes { return String(decoding: bytes[span.range], as: UTF8.self) }
        var reader = self
        reader.position = span.range.lowerBound
        var text: [UInt8] = []
        text.reserveCapacity(span.range.count)
        while reader.position < span.range.upperBound {
            let byte = bytes[reader.position]
            reader.position += 1
            guard byte == UInt8(ascii: "\\") else {
                text.append(byte)
                continue
            }
            let escape = bytes[reader.position]
            reader.position += 1
            switch escape {
            case UInt8(ascii: "b"): text.append(0x08)
            case UInt8(ascii: "f"): text.append(0x0C)
            case UInt8(ascii: "n"): text.append(0x0A)
            case UInt8(ascii: "r"): text.append(0x0D)
            case UInt8(ascii: "t"): text.append(0x09)
            case UInt8(ascii: "u"):
                text.append(contentsOf: String(try reader.scalar(before: span.range.upperBound)).utf8)
            default: text.append(escape)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads the four digits behind `\u`, and a second escape where the first is half of a pair.
    private mutating func scalar(before end: Int) throws(JSONError) -> Unicode.Scalar {
        let unit = try scanHex()
        let replacement: Unicode.Scalar = "\u{FFFD}"
        guard 0xD800..<0xDC00 ~= unit else { return Unicode.Scalar(unit) ?? replacement }
        guard position + 6 <= end, bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u")
        else {
            return replacement
        }
        let mark = position
        position += 2
        let low = try scanHex()
        guard 0xDC00..<0xE000 ~= low else {
            position = mark
            return replacement
        }
        return Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)) ?? replacement
    }
}
