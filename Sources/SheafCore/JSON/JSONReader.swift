import OrderedCollections

/// A cursor over the bytes of one JSON text (RFC 8259) that checks, skips or reads values.
///
/// It borrows its bytes: use it only inside `withUnsafeBufferPointer`.
struct JSONReader {
    /// The maximum nesting depth of arrays and objects; limits the stack that hostile input can use.
    private static let maximumDepth = 256

    private let bytes: UnsafeBufferPointer<UInt8>
    var position = 0
    private var depth = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
    }

    private var isAtEnd: Bool { position >= bytes.count }

    private func fail(_ message: String) -> JSONError {
        JSONError(isAtEnd ? "the JSON ends too early" : message, at: position)
    }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    /// Returns the next byte that is not white space, without consuming it.
    mutating func peek() throws(JSONError) -> UInt8 {
        skipSpace()
        guard position < bytes.count else { throw fail("") }
        return bytes[position]
    }

    private mutating func expect(_ byte: UInt8, _ what: String) throws(JSONError) {
        guard try peek() == byte else { throw fail("expected \(what)") }
        position += 1
    }

    private mutating func enter() throws(JSONError) {
        depth += 1
        if depth > Self.maximumDepth { throw fail("nested more than \(Self.maximumDepth) deep") }
    }

    private mutating func leave() { depth -= 1 }

    /// Fails unless only white space follows.
    mutating func expectEnd() throws(JSONError) {
        skipSpace()
        if !isAtEnd { throw fail("unexpected text after the value") }
    }

    /// Checks the next value and moves past it.
    mutating func skipValue() throws(JSONError) {
        switch try peek() {
        case UInt8(ascii: "\""): _ = try scanString()
        case UInt8(ascii: "{"):
            try members { (reader, _) throws(JSONError) in try reader.skipValue() }
        case UInt8(ascii: "["):
            try elements { (reader) throws(JSONError) in try reader.skipValue() }
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: _ = try scanNumber()
        }
    }

    /// Calls `body` with the cursor at the value of each member; `body` must move past the value.
    ///
    /// `name` is the member's name without its quotes and with its escapes not decoded.
    mutating func members(
        _ body: (inout JSONReader, _ name: StringSpan) throws(JSONError) -> Void
    ) throws(JSONError) {
        try expect(UInt8(ascii: "{"), "'{'")
        try enter()
        defer { leave() }
        if try peek() == UInt8(ascii: "}") {
            position += 1
            return
        }
        while true {
            guard try peek() == UInt8(ascii: "\"") else { throw fail("expected a member name in quotes") }
            let name = try scanString()
            try expect(UInt8(ascii: ":"), "':' after the member name")
            skipSpace()
            try body(&self, name)
            let next = try peek()
            guard next == UInt8(ascii: ",") || next == UInt8(ascii: "}") else { throw fail("expected ',' or '}'") }
            position += 1
            if next == UInt8(ascii: "}") { return }
        }
    }

    /// Calls `body` with the cursor at each element; `body` must move past the element.
    mutating func elements(_ body: (inout JSONReader) throws(JSONError) -> Void) throws(JSONError) {
        try expect(UInt8(ascii: "["), "'['")
        try enter()
        defer { leave() }
        if try peek() == UInt8(ascii: "]") {
            position += 1
            return
        }
        while true {
            skipSpace()
            try body(&self)
            let next = try peek()
            guard next == UInt8(ascii: ",") || next == UInt8(ascii: "]") else { throw fail("expected ',' or ']'") }
            position += 1
            if next == UInt8(ascii: "]") { return }
        }
    }

    private mutating func literal(_ word: StaticString) throws(JSONError) {
        let length = word.utf8CodeUnitCount
        guard position + length <= bytes.count else {
            position = bytes.count
            throw fail("")
        }
        for offset in 0..<length where bytes[position + offset] != word.utf8Start[offset] {
            throw fail("expected a value")
        }
        position += length
    }

    /// Reads the next value.
    mutating func readValue() throws(JSONError) -> JSONValue {
        switch try peek() {
        case UInt8(ascii: "\""):
            return .string(try decode(try scanString()))
        case UInt8(ascii: "{"):
            var fields: OrderedDictionary<String, JSONValue> = [:]
            try members { (reader, name) throws(JSONError) in
                let key = try reader.decode(name)
                fields[key] = try reader.readValue()
            }
            return .object(fields)
        case UInt8(ascii: "["):
            var list: [JSONValue] = []
            try elements { (reader) throws(JSONError) in list.append(try reader.readValue()) }
            return .array(list)
        case UInt8(ascii: "t"):
            try literal("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try literal("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try literal("null")
            return .null
        default:
            let range = try scanNumber()
            return .number(String(decoding: bytes[range], as: UTF8.self))
        }
    }

    /// Moves past the number at the cursor and returns its range.
    private mutating func scanNumber() throws(JSONError) -> Range<Int> {
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

    /// Checks the escapes and the UTF-8 of the string at the cursor and moves past it.
    private mutating func scanString() throws(JSONError) -> StringSpan {
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

    /// Decodes a string that ``scanString()`` has checked; a lone surrogate becomes U+FFFD.
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

    /// Reads the four digits after `\u`, and a second escape if the first is half of a surrogate pair.
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

    /// Returns whether a scanned name equals `name`.
    func isEqual(_ span: StringSpan, _ name: String) -> Bool {
        if span.hasEscapes { return (try? decode(span)) == name }
        return bytes[span.range].elementsEqual(name.utf8)
    }
}

/// The range of a string between its quotes, and whether it needs decoding.
struct StringSpan {
    let range: Range<Int>
    let hasEscapes: Bool
}

/// The reason why bytes are not JSON, and where.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The reason, as text.
    public let message: String
    /// The offset of the byte at which parsing stopped, from 0.
    package let offset: Int

    /// Creates an error.
    package init(_ message: String, at offset: Int) {
        self.message = message
        self.offset = offset
    }

    /// The message and its position, counted from 1.
    public var description: String { "\(message) at byte \(offset + 1)" }
}
