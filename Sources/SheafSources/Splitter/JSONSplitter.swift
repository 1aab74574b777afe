import SheafCore

/// Finds the elements of a top-level JSON array one by one, or a single top-level object.
///
/// It stops at invalid syntax: after wrong quotes or brackets, the start of the next element cannot be determined.
struct JSONSplitter: RecordSplitter {
    private enum Stage { case start, first, following, tail, done }

    private var stage = Stage.start
    private var position: Int
    private var line = 1

    init(from position: Int) { self.position = position }

    mutating func next(in window: ByteWindow) throws -> RecordSpan? {
        while true {
            if stage == .done { return nil }
            guard let byte = try skipSpace(in: window) else {
                // An open array needs its end; after a complete value, the file may end.
                let isOpen = stage == .first || stage == .following
                stage = .done
                return isOpen ? RecordSpan(offset: position, length: 0, line: line, defect: .unfinishedArray) : nil
            }
            switch (stage, byte) {
            case (.start, UInt8(ascii: "[")):
                position += 1
                stage = .first
            case (.start, UInt8(ascii: "{")):
                return try element(in: window, isWhole: true)
            case (.start, _):
                return end(with: .neitherArrayNorObject)
            case (.first, UInt8(ascii: "]")):
                position += 1
                stage = .tail
            case (.tail, _):
                return end(with: .textAfterValue)
            case (_, UInt8(ascii: ",")), (_, UInt8(ascii: "]")):
                return end(with: .missingElement)
            default:
                return try element(in: window, isWhole: false)
            }
        }
    }

    private mutating func end(with defect: RecordSpan.Defect) -> RecordSpan {
        stage = .done
        return RecordSpan(offset: position, length: 0, line: line, defect: defect)
    }

    /// Moves to the next byte that is not white space and returns it, or nil at the end of the file.
    private mutating func skipSpace(in window: ByteWindow) throws -> UInt8? {
        while true {
            for byte in window.bytes(from: position) {
                guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
                position += 1
                if byte == 0x0A { line += 1 }
            }
            if try !window.more(from: position, scanned: position) { return nil }
        }
    }

    /// Reads the value at the cursor up to the following comma or bracket, and checks it.
    private mutating func element(in window: ByteWindow, isWhole: Bool) throws -> RecordSpan {
        var scan = JSONScan(isWhole: isWhole)
        var scanned = position
        while true {
            let bytes = window.bytes(from: scanned)
            if let length = scan.end(in: bytes) {
                scanned += length
                break
            }
            scanned += bytes.count
            if try !window.more(from: position, scanned: scanned) { break }
        }
        var span = RecordSpan(offset: position, length: scanned - position, line: line)
        position = scanned
        line += scan.lines
        if !scan.isComplete {
            span.defect = .unfinishedValue
        } else if span.length > window.recordLimit {
            span.defect = .tooLarge
        } else {
            span.length = scan.contentLength
            if (try? JSON.validate(window.copy(span.range))) == nil { span.defect = .brokenValue }
        }
        switch (span.defect, scan.last) {
        case (.brokenValue, _), (.unfinishedValue, _): stage = .done
        case (_, UInt8(ascii: ",")):
            position += 1
            stage = .following
        case (_, UInt8(ascii: "]")):
            position += 1
            stage = .tail
        default: stage = .tail
        }
        return span
    }
}

/// A scan for the end of one JSON value by its quotes and brackets, across any number of pieces.
private struct JSONScan {
    /// Whether the value ends with its own bracket, rather than before a comma or the closing bracket of an array.
    private let isWhole: Bool
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    private var scanned = 0
    /// The number of line breaks so far.
    private(set) var lines = 0
    /// The length up to the last byte that is not white space.
    private(set) var contentLength = 0
    /// Whether the end was found.
    private(set) var isComplete = false
    /// The comma or bracket before which the value ends.
    private(set) var last: UInt8?

    init(isWhole: Bool) { self.isWhole = isWhole }

    /// Returns how many bytes of this piece belong to the value if it ends here, or nil if the next piece is needed.
    mutating func end(in bytes: UnsafeRawBufferPointer) -> Int? {
        for (place, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\n") { lines += 1 }
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
            } else {
                switch byte {
                case UInt8(ascii: "\""): isInString = true
                case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
                case UInt8(ascii: "}") where depth > 0, UInt8(ascii: "]") where depth > 0:
                    depth -= 1
                    if depth == 0, isWhole {
                        contentLength = scanned + place + 1
                        isComplete = true
                        return place + 1
                    }
                case UInt8(ascii: ",") where depth == 0, UInt8(ascii: "]"):
                    last = byte
                    isComplete = true
                    return place
                case 0x20, 0x0A, 0x0D, 0x09: continue
                default: break
                }
            }
            contentLength = scanned + place + 1
        }
        scanned += bytes.count
        return nil
    }
}
