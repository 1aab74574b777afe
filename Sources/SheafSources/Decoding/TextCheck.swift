/// Questions about bytes that should be text.
enum TextCheck {
    /// Whether the bytes are UTF-8.
    static func isUTF8(_ bytes: [UInt8]) -> Bool {
        isASCII(bytes) || String(validating: bytes, as: UTF8.self) != nil
    }

    private static func isASCII(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { raw in
            var position = 0
            while position + 8 <= raw.count {
                let word = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                if word & 0x8080_8080_8080_8080 != 0 { return false }
                position += 8
            }
            return raw[position...].allSatisfy { $0 < 0x80 }
        }
    }

    /// The column of a byte for people: characters count one, from 1.
    static func column(of offset: Int, in bytes: some Collection<UInt8>) -> Int {
        bytes.prefix(offset).count { $0 & 0xC0 != 0x80 } + 1
    }

    /// A size for people, rounded up so that it never looks like a limit that it exceeds.
    static func size(_ count: Int) -> String {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] where count >= 1 << shift {
            let tenths = (count * 10 + 1 << shift - 1) >> shift
            return "\(tenths / 10).\(tenths % 10) \(unit)"
        }
        return "\(count) bytes"
    }

    /// A limit for people: like a size, without the decimal where that is zero.
    static func limit(_ count: Int) -> String {
        size(count).replacing(".0 ", with: " ")
    }
}
