import SheafCore

/// The cells of one row, as ranges of its bytes.
struct TableRow {
    /// One cell without its quotes.
    struct Cell {
        var range: Range<Int>
        /// Whether quotes inside are doubled.
        var hasDoubledQuotes = false
    }

    /// What is wrong with a row, for people.
    struct Failure: Error { var message: String }

    private let bytes: [UInt8]
    private(set) var cells: [Cell] = []

    /// Cuts a row without its line ending; a quote inside a cell that does not start with one stands for itself.
    init(_ bytes: [UInt8], separator: UInt8, expecting count: Int = 8) throws(Failure) {
        self.bytes = bytes
        cells.reserveCapacity(count)
        var position = 0
        while true {
            if position < bytes.count, bytes[position] == UInt8(ascii: "\"") {
                try takeQuoted(&position, separator)
            } else {
                let start = position
                while position < bytes.count, bytes[position] != separator { position += 1 }
                cells.append(Cell(range: start..<position))
            }
            if position >= bytes.count { return }
            position += 1
        }
    }

    private mutating func takeQuoted(_ position: inout Int, _ separator: UInt8) throws(Failure) {
        position += 1
        var cell = Cell(range: position..<position)
        while position < bytes.count {
            guard bytes[position] == UInt8(ascii: "\"") else {
                position += 1
                continue
            }
            if position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "\"") {
                cell.hasDoubledQuotes = true
                position += 2
                continue
            }
            cell.range = cell.range.lowerBound..<position
            cells.append(cell)
            position += 1
            if position < bytes.count, bytes[position] != separator {
                throw Failure(message: "has text behind the closing quote of cell \(cells.count)")
            }
            return
        }
        throw Failure(message: "has a quote in cell \(cells.count + 1) that is never closed")
    }

    /// The text of a cell.
    func text(_ cell: Cell) -> String {
        if !cell.hasDoubledQuotes { return String(decoding: bytes[cell.range], as: UTF8.self) }
        var text: [UInt8] = []
        text.reserveCapacity(cell.range.count)
        var position = cell.range.lowerBound
        while position < cell.range.upperBound {
            text.append(bytes[position])
            position += bytes[position] == UInt8(ascii: "\"") ? 2 : 1
        }
        return String(decoding: text, as: UTF8.self)
    }
}
