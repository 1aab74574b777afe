import Glibc

/// Finds lines, ended by LF or CRLF; blank ones are skipped.
struct LineSplitter: RecordSplitter {
    private var position: Int
    private var line = 1
    /// Whether a line of nothing but spaces is blank, too.
    private let skipsSpaces: Bool

    init(from position: Int, skipsSpaces: Bool) {
        self.position = position
        self.skipsSpaces = skipsSpaces
    }

    mutating func next(in window: ByteWindow) throws -> RecordSpan? {
        while true {
            guard let (end, next) = try endOfLine(in: window) else { return nil }
            var span = RecordSpan(offset: position, length: end - position, line: line)
            if span.length > 0, window[end - 1] == UInt8(ascii: "\r") { span.length -= 1 }
            position = next
            line += 1
            if span.length > window.recordLimit {
                span.defect = .tooLarge
                return span
            }
            if !isBlank(window.bytes(from: span.offset), length: span.length) { return span }
        }
    }

    /// Where the line ends and where the next one starts; nil at the end of the file.
    private func endOfLine(in window: ByteWindow) throws -> (end: Int, next: Int)? {
        var scanned = position
        while true {
            let bytes = window.bytes(from: scanned)
            if let base = bytes.baseAddress, let hit = memchr(base, Int32(UInt8(ascii: "\n")), bytes.count) {
                let end = scanned + (UnsafeRawPointer(hit) - base)
                return (end, end + 1)
            }
            scanned += bytes.count
            if try !window.more(from: position, scanned: scanned) {
                return scanned == position ? nil : (scanned, scanned)
            }
        }
    }

    private func isBlank(_ bytes: UnsafeRawBufferPointer, length: Int) -> Bool {
        if !skipsSpaces { return length == 0 }
        return bytes[..<length].allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
    }
}
