import SheafCore

/// Finds the elements of a top-level JSON array one by one, or the one object that stands there instead.
///
/// Broken syntax ends it: where quotes or brackets are wrong, nobody can tell where the next element starts.
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
                // An array that was opened needs its end; behind a value nothing is right.
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

    /// Moves to the next byte that is not white space and returns it; nil at the end of the file.
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

    /// Takes the value at the cursor, up to the comma or bracket behind it, and checks it.
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
