import OrderedCollections

/// A cursor over the bytes of one JSON text (RFC 8259) that checks, skips or reads values.
///
/// It borrows its bytes: use it inside `withUnsafeBufferPointer` only.
struct JSONReader {
    /// How deeply arrays and objects may nest; bounds the stack for hostile input.
    static let maximumDepth = 256

    let bytes: UnsafeBufferPointer<UInt8>
    var position = 0
    private var depth = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { position >= bytes.count }

    func fail(_ message: String) -> JSONError {
        JSONError(isAtEnd ? "the JSON ends too early" : message, at: position)
    }

    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    /// The next byte that is not white space, without taking it.
    mutating func peek() throws(JSONError) -> UInt8 {
        skipSpace()
        guard position < bytes.count else { throw fail("") }
        return bytes[position]
    }

    mutating func expect(_ byte: UInt8, _ what: String) throws(JSONError) {
        guard try peek() == byte else { throw fail("expected \(what)") }
        position += 1
    }

    mutating func enter() throws(JSONError) {
        depth += 1
        if depth > Self.maximumDepth { throw fail("nested more than \(Self.maximumDepth) deep") }
    }

    mutating func leave() { depth -= 1 }

    /// Fails unless only white space follows.
    mutating func expectEnd() throws(JSONError) {
        skipSpace()
        if !isAtEnd { throw fail("unexpected text after the value") }
    }

    /// Moves behind the value that comes next and checks it on the way.
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

    /// Calls `body` with the cursor at the value of each member; `body` must move behind it.
    ///
    /// The range is the member's name without its quotes, escapes not decoded.
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

    /// Calls `body` with the cursor at each element; `body` must move behind it.
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

    /// Reads the value that comes next.
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
}
