import Glibc

/// Finds and masks passwords in the URLs of brokers.
enum Credentials {
    private static let schemes = ["amqp://", "amqps://", "redis://", "rediss://"]
    /// How messages and the help show the form of a URL; it has no password to mask.
    private static let placeholder = "user:password@host:port"

    /// Returns the text with `***` instead of each password.
    static func masked(_ text: String) -> String {
        guard text.contains("://"), text.contains("@") else { return text }
        var bytes = Array(text.utf8)
        for range in passwords(in: bytes).reversed() { bytes.replaceSubrange(range, with: "***".utf8) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Returns the ranges of the passwords, in order.
    ///
    /// A password may contain a `/` or an `@` that should have been encoded, so it ends at the last `@` before a space
    /// or a quote.
    static func passwords(in bytes: some RandomAccessCollection<UInt8>) -> [Range<Int>] {
        let bytes = Array(bytes)
        var found: [Range<Int>] = []
        var position = 0
        while position < bytes.count {
            guard let start = schemes.lazy.compactMap({ urlStart(after: $0, in: bytes, at: position) }).first else {
                position += 1
                continue
            }
            let end = bytes[start...].firstIndex { $0 <= 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "'") }
            let url = bytes[start..<(end ?? bytes.count)]
            if !url.starts(with: placeholder.utf8),
                let at = url.lastIndex(of: UInt8(ascii: "@")), let colon = url[..<at].firstIndex(of: UInt8(ascii: ":"))
            {
                found.append(colon + 1..<at)
            }
            position = url.endIndex
        }
        return found.filter { !$0.isEmpty }
    }

    private static func urlStart(after scheme: String, in bytes: [UInt8], at position: Int) -> Int? {
        let end = position + scheme.utf8.count
        guard end <= bytes.count, zip(bytes[position..<end], scheme.utf8).allSatisfy({ $0 | 0x20 == $1 | 0x20 }) else {
            return nil
        }
        return end
    }
}

/// The command line that other users of the machine see with `ps`.
enum ProcessTitle {
    /// Overwrites the passwords in it; the arguments must have been copied before.
    ///
    /// `CommandLine` holds only copies, so the system reports where the original memory is. If that fails, the title
    /// stays as it is.
    static func hideCredentials() {
        guard let (start, end) = bounds, end > start, let base = UnsafeMutablePointer<UInt8>(bitPattern: start) else {
            return
        }
        let title = UnsafeMutableBufferPointer(start: base, count: Int(end - start))
        for password in Credentials.passwords(in: title) {
            for position in password { title[position] = UInt8(ascii: "*") }
        }
    }

    /// The addresses where the arguments begin and end: fields 48 and 49 of `/proc/self/stat`.
    private static var bounds: (start: UInt, end: UInt)? {
        guard let file = fopen("/proc/self/stat", "re") else { return nil }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = fread(&buffer, 1, buffer.count, file)
        // The second field is the program's name in brackets, which may contain any character.
        guard let bracket = buffer[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = buffer[(bracket + 1)..<count].split { $0 == 0x20 || $0 == 0x0A }
        guard fields.count > 46, let start = UInt(String(decoding: fields[45], as: UTF8.self)),
            let end = UInt(String(decoding: fields[46], as: UTF8.self))
        else { return nil }
        return (start, end)
    }
}
