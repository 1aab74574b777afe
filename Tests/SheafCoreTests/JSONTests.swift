import OrderedCollections
import SheafCore
import Testing

@Suite("JSON") struct JSONTests {
    @Test(
        "Compact JSON is written as it was read",
        arguments: [
            "null", "true", "false", "0", "-0", "12345678901234567890123", "1.5e-7", "\"\"", "[]", "{}",
            "[1,[2,[3]],{\"a\":null}]", "{\"b\":1,\"a\":{\"c\":[true,false]}}", "\"ünï\"",
        ]
    )
    func compactJSON(text: String) throws {
        #expect(try JSON.parse(text).text == text)
        try JSON.validate(Array(text.utf8))
    }

    @Test(
        "Invalid JSON is rejected with the reason",
        arguments: [
            ("", "too early"), ("{", "too early"), ("[1,", "too early"), ("\"abc", "too early"), ("tru", "too early"),
            ("{\"a\" 1}", "':'"), ("{a:1}", "member name"), ("[1 2]", "','"), ("01", "start with 0"),
            ("1.", "too early"),
            ("1.x", "digit"), ("nul1", "a value"), ("\"\\q\"", "escape"), ("\"\\u12g4\"", "hexadecimal"),
            ("\"a\nb\"", "control"), ("{} x", "after the value"), ("+1", "a value"), ("[,]", "a value"),
            ("'a'", "a value"),
            ("NaN", "a value"),
        ]
    )
    func brokenJSONIsRefusedWithTheReason(text: String, reason: String) {
        for check in [{ try JSON.validate(Array(text.utf8)) }, { _ = try JSON.parse(text) }] {
            let error = #expect(throws: JSONError.self) { try check() }
            #expect(error?.message.contains(reason) == true, "\(String(describing: error))")
        }
    }

    @Test("Invalid UTF-8 and deep nesting are rejected") func invalidUTF8AndDeepNestingAreRefused() {
        #expect(throws: JSONError.self) { try JSON.validate([0x22, 0xFF, 0x22]) }
        #expect(throws: JSONError.self) { try JSON.validate([0x22, 0xC3, 0x22]) }
        #expect(throws: JSONError.self) { try JSON.validate(Array(String(repeating: "[", count: 100_000).utf8)) }
    }

    @Test("Escapes are decoded and written") func escapesAreDecodedAndWritten() throws {
        let value = try JSON.parse(#""\u0041\n\t\"\\\/\ud83d\ude00\ud83dx""#)
        #expect(value == .string("A\n\t\"\\/😀\u{FFFD}x"))
        #expect(try JSON.parse(value.text) == value)
        #expect(try JSON.parse(JSONValue.string("\u{1}\u{1f}\r").text) == .string("\u{1}\u{1f}\r"))
    }

    @Test("Random values are read as they were written", arguments: 0..<300)
    func anyValueSurvivesItsText(seed: UInt64) throws {
        var generator = Seeded(state: seed)
        let value = Self.random(&generator, depth: 4)
        #expect(try JSON.parse(value.bytes) == value)
        try JSON.validate(value.bytes)
    }

    @Test("Mutated JSON never traps, and parse and validate agree", arguments: 0..<300)
    func mutatedTextNeverTraps(seed: UInt64) {
        var generator = Seeded(state: seed)
        var bytes = Self.random(&generator, depth: 4).bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        let isValid = (try? JSON.validate(bytes)) != nil
        #expect(isValid == ((try? JSON.parse(bytes)) != nil))
    }

    @Test("Only top-level members are found") func membersAreFoundAtTheTopOnly() throws {
        let text = Array(#"{"x":{"id":1},"id":7,"record_id":"r","\u0069d2":2}"#.utf8)
        let found = try JSON.members(["id", "record_id"], of: text)
        #expect(found == ["id": 7, "record_id": "r"])
        #expect(try JSON.members(["id"], of: Array("[1]".utf8)).isEmpty)
        #expect(throws: JSONError.self) { try JSON.members(["id"], of: Array(#"{"id":1,"#.utf8)) }
    }

    @Test("JSON on several lines is written on one line") func jsonOnSeveralLinesIsPutOnOne() {
        var output: [UInt8] = []
        JSON.writeOnOneLine("{\n  \"a\": \"b\\n\"\r\n}".utf8, to: &output)
        #expect(String(decoding: output, as: UTF8.self) == "{   \"a\": \"b\\n\"  }")
    }

    static func random(_ generator: inout Seeded, depth: Int) -> JSONValue {
        switch Int.random(in: 0...(depth == 0 ? 3 : 5), using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .integer(Int.random(in: Int.min...Int.max, using: &generator))
        case 3:
            let scalars = (0..<Int.random(in: 0...8, using: &generator)).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 0...0x2FFF, using: &generator))
            }
            return .string(String(String.UnicodeScalarView(scalars)))
        case 4:
            let count = Int.random(in: 0...4, using: &generator)
            return .array((0..<count).map { _ in random(&generator, depth: depth - 1) })
        default:
            var value = JSONValue.object([:])
            for position in 0..<Int.random(in: 0...4, using: &generator) {
                guard case .object(var members) = value else { continue }
                members["k\(position)"] = random(&generator, depth: depth - 1)
                value = .object(members)
            }
            return value
        }
    }
}
