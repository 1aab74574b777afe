/// Finds the rows of a table (RFC 4180).
///
/// Line breaks inside quoted cells do not end a row. Empty lines are skipped.
struct TableSplitter: RecordSplitter {
    private enum State { case cellStart, plain, quoted, quoteInQuoted }

    private var position: Int
    private var line = 1
    private let separator: UInt8

    init(from position: Int, separator: UInt8) {
        self.position = position
        self.separator = separator
    }

    mutating func next(in window: ByteWindow) throws -> RecordSpan? {
        while true {
            guard let row = try endOfRow(in: window) else { return nil }
            var span = RecordSpan(offset: position, length: row.end - position, line: line)
            if span.length > 0, window[row.end - 1] == UInt8(ascii: "\r") { span.length -= 1 }
            position = row.next
            line += row.lines
            if row.isUnterminated {
                span.defect = .unterminatedQuote
            } else if span.length > window.recordLimit {
                span.defect = .tooLarge
            }
            if span.length > 0 { return span }
        }
    }

    private struct Row {
        var end: Int
        var next: Int
        var lines: Int
        var isUnterminated = false
    }

    private func endOfRow(in window: ByteWindow) throws -> Row? {
        var state = State.cellStart
        var lines = 0
        var scanned = position
        while true {
            let bytes = window.bytes(from: scanned)
            for (place, byte) in bytes.enumerated() {
                if byte == UInt8(ascii: "\n") {
                    lines += 1
                    if state != .quoted { return Row(end: scanned + place, next: scanned + place + 1, lines: lines) }
                } else {
                    state = follow(state, byte)
                }
            }
            scanned += bytes.count
            if try !window.more(from: position, scanned: scanned) {
                if scanned == position { return nil }
                return Row(end: scanned, next: scanned, lines: lines + 1, isUnterminated: state == .quoted)
            }
        }
    }

    /// Returns the state after a byte that is not a line break.
    private func follow(_ state: State, _ byte: UInt8) -> State {
        if state == .quoted { return byte == UInt8(ascii: "\"") ? .quoteInQuoted : .quoted }
        if byte == separator { return .cellStart }
        return byte == UInt8(ascii: "\"") && state != .plain ? .quoted : .plain
    }
}
