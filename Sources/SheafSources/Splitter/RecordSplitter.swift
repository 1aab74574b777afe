import Glibc

/// A type that finds the boundaries of records in one file.
///
/// A splitter changes its state only when it returns, so that the caller can call it again after ``WouldWait``.
protocol RecordSplitter {
    /// Returns the next record, or nil at the end.
    ///
    /// Unless the record has a defect, its bytes are in the window until the next call.
    mutating func next(in window: ByteWindow) throws -> RecordSpan?
}

/// The error that the next record needs bytes that have not arrived yet.
struct WouldWait: Error {}

/// The position of a record in the input.
struct RecordSpan: Sendable, Equatable {
    /// The reason why a span is invalid, if it is known before decoding.
    enum Defect: UInt8, Sendable {
        case tooLarge = 1
        case unterminatedQuote, brokenValue, unfinishedValue, missingElement, unfinishedArray, textAfterValue
        case neitherArrayNorObject
    }

    /// The index of the file.
    var file = 0
    /// The offset of the first byte in the file.
    var offset: Int
    /// The size in bytes, without a line ending.
    var length: Int
    /// The number of the first line, from 1; 0 if the whole file is the record.
    var line: Int
    /// The defect, or nil.
    var defect: Defect?

    var range: Range<Int> { offset..<offset + length }
}

/// Finds lines that end with LF or CRLF, and skips blank lines.
struct LineSplitter: RecordSplitter {
    private var position: Int
    private var line = 1
    /// Whether a line with only white space counts as blank.
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

    /// Returns the end of the line and the start of the next one, or nil at the end of the file.
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

/// Returns a whole file as one record.
struct WholeSplitter: RecordSplitter {
    private let size: Int?
    private var isDone = false

    /// A size of nil means a stream, which is read to its end.
    init(size: Int?) { self.size = size }

    mutating func next(in window: ByteWindow) throws -> RecordSpan? {
        if isDone { return nil }
        var length = size ?? 0
        if size == nil {
            repeat { length += window.bytes(from: length).count } while try window.more(from: 0, scanned: length)
        }
        isDone = true
        // An empty stream has no record, but an empty file is a record.
        if size == nil, length == 0 { return nil }
        let defect: RecordSpan.Defect? = length > window.recordLimit ? .tooLarge : nil
        return RecordSpan(offset: 0, length: length, line: 0, defect: defect)
    }
}
