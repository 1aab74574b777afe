import Testing

@testable import AMQPClient

struct FieldTableTests {
    static let values: [AMQPValue] = [
        .bool(true), .bool(false), .int8(.min), .uint8(.max), .int16(.min), .uint16(.max), .int32(.min), .uint32(.max),
        .int64(.min), .uint64(.max), .float(1.5), .double(-2.25), .decimal(scale: 2, value: 314), .string(""),
        .string("grüße 🌾"), .bytes([]), .bytes([0, 255]), .timestamp(1_700_000_000), .null, .array([]),
        .array([.int32(1), .string("x"), .array([.null])]), .table([:]), .table(["a": ["b": ["c": 1]]]),
    ]

    @Test("Every kind of value is encoded and decoded unchanged", arguments: values)
    func everyKind(value: AMQPValue) throws {
        let table = AMQPTable([AMQPTable.Entry(key: "key", value: value)])
        let bytes = try FieldTableCodec.encode(table)
        #expect(bytes.count == (try table.encodedSize()))
        #expect(try FieldTableCodec.decode(bytes) == table)
    }

    @Test("A table with all kinds of values is encoded and decoded unchanged")
    func allKindsTogether() throws {
        let entries = Self.values.enumerated().map { AMQPTable.Entry(key: "key \($0.offset)", value: $0.element) }
        let table = AMQPTable(entries)
        let bytes = try FieldTableCodec.encode(table)
        #expect(bytes.count == (try table.encodedSize()))
        #expect(try FieldTableCodec.decode(bytes) == table)
    }

    @Test("Tables larger than a block of the arena are encoded")
    func largeTables() throws {
        let entries = (0..<5_000).map { AMQPTable.Entry(key: "key \($0)", value: .string("value \($0)")) }
        let table = AMQPTable(
            entries + [AMQPTable.Entry(key: "large", value: .bytes(Array(repeating: 1, count: 50_000)))]
        )
        #expect(try FieldTableCodec.decode(try FieldTableCodec.encode(table)).entries == table.entries)
    }

    @Test("Nesting depth and key length are limited")
    func limits() {
        var deep: AMQPValue = 1
        for _ in 0..<100 { deep = .table(AMQPTable([AMQPTable.Entry(key: "t", value: deep)])) }
        #expect(throws: AMQPError.self) { try AMQPTable([AMQPTable.Entry(key: "d", value: deep)]).encodedSize() }
        let longKey = String(repeating: "k", count: 256)
        #expect(throws: AMQPError.self) { try AMQPTable([AMQPTable.Entry(key: longKey, value: 1)]).encodedSize() }
    }

    @Test(
        "Damaged bytes are an error",
        arguments: [[1], [3, 97, 98], [1, 97, 83, 255, 255, 255, 255], [1, 97, 0]] as [[UInt8]]
    )
    func damagedBytes(bytes: [UInt8]) {
        #expect(throws: AMQPError.self) { try FieldTableCodec.decode(bytes) }
    }

    @Test("Strings that are not valid UTF-8 are decoded as bytes")
    func invalidUTF8() throws {
        let table = try FieldTableCodec.decode([1, 97, UInt8(ascii: "S"), 0, 0, 0, 1, 255])
        #expect(table["a"] == .bytes([255]))
    }

    @Test("The subscript sets, replaces and removes values")
    func subscripting() {
        var table: AMQPTable = ["a": 1, "b": "two"]
        table["a"] = 3
        table["c"] = true
        table["b"] = nil
        #expect(table == ["c": true, "a": 3])
        #expect(table.count == 2)
    }
}
