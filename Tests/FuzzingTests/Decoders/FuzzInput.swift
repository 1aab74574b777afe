/// Takes an input of the fuzzer apart: a few bytes choose, the rest is what is decoded.
struct FuzzInput {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    /// The next byte, or 0 at the end.
    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    /// What comes before the next byte of that value, which is taken too; everything where there is none.
    mutating func part(before separator: UInt8 = 0) -> [UInt8] {
        let end = rest.firstIndex(of: separator) ?? rest.endIndex
        defer { rest = rest[min(end + 1, rest.endIndex)...] }
        return Array(rest[..<end])
    }

    /// As many bytes as the next two say, or what there is.
    mutating func block() -> [UInt8] {
        let count = Int(byte()) << 8 | Int(byte())
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    /// The rest as text, with replacement characters where it is not UTF-8.
    var text: String { String(decoding: rest, as: UTF8.self) }
}
