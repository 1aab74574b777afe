/// Passwords in the URLs of brokers.
enum Credentials {
    private static let schemes = ["amqp://", "amqps://"]

    /// The text with `***` in place of every password.
    static func masked(_ text: String) -> String {
        guard text.contains("://"), text.contains("@") else { return text }
        var bytes = Array(text.utf8)
        for range in passwords(in: bytes).reversed() { bytes.replaceSubrange(range, with: "***".utf8) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Where the passwords stand, first to last.
    ///
    /// One may hold a `/` or an `@` that should have been encoded, so it ends at the last `@` before a blank or a quote.
    static func passwords(in bytes: some RandomAccessCollection<UInt8>) -> [Range<Int>] {
        let bytes = Array(bytes)
        var found: [Range<Int>] = []
        var position = 0
        while position < bytes.count {
            guard let start = schemes.lazy.compactMap({ behind($0, in: bytes, at: position) }).first else {
                position += 1
                continue
            }
            let end = bytes[start...].firstIndex { $0 <= 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "'") }
            let url = bytes[start..<(end ?? bytes.count)]
            if let at = url.lastIndex(of: UInt8(ascii: "@")), let colon = url[..<at].firstIndex(of: UInt8(ascii: ":")) {
                found.append(colon + 1..<at)
            }
            position = url.endIndex
        }
        return found.filter { !$0.isEmpty }
    }

    private static func behind(_ scheme: String, in bytes: [UInt8], at position: Int) -> Int? {
        let end = position + scheme.utf8.count
        guard end <= bytes.count, zip(bytes[position..<end], scheme.utf8).allSatisfy({ $0 | 0x20 == $1 | 0x20 }) else {
            return nil
        }
        return end
    }
}
