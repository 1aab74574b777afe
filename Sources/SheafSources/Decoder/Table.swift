import SheafCore

/// The header of a table, and the mapping from rows to JSON objects.
final class TableHeader: Sendable {
    /// One member of a row's JSON object.
    struct Member: Sendable {
        /// The quoted name and the colon.
        let prefix: [UInt8]
        /// The index of the cell, or nil if the table does not have the column.
        let cell: Int?
        /// The name of the column.
        let column: String
    }

    let names: [String]
    let members: [Member]
    /// The indices of cells that can be the id, in order of preference.
    let idCells: [Int]

    init(_ bytes: [UInt8], separator: UInt8, path: String, rule: FieldRule) throws(SourceError) {
        func fail(_ message: String) -> SourceError { SourceError(.invalidHeader, "\(path): \(message)") }
        guard TextCheck.isUTF8(bytes) else { throw fail("the header is not UTF-8") }
        var names: [String] = []
        do {
            let row = try TableRow(bytes, separator: separator)
            names = row.cells.map(row.text)
        } catch {
            throw fail("the header \(error.message)")
        }
        var places: [String: Int] = [:]
        for (place, name) in names.enumerated() {
            if name.isEmpty { throw fail("column \(place + 1) of the header has no name") }
            if let earlier = places.updateValue(place, forKey: name) {
                throw fail("columns \(earlier + 1) and \(place + 1) of the header are both named '\(name)'")
            }
        }
        let pairs = rule.columns.isEmpty ? names.map { (new: $0, source: $0) } : rule.columns
        self.names = names
        self.members = pairs.map { pair in
            var prefix: [UInt8] = []
            JSON.write(pair.new, to: &prefix)
            prefix.append(UInt8(ascii: ":"))
            return Member(prefix: prefix, cell: places[pair.source], column: pair.source)
        }
        self.idCells = rule.idNames.compactMap { places[$0] }
    }
}

/// The cells of one row, as ranges of its bytes.
struct TableRow {
    /// One cell without its quotes.
    struct Cell {
        var range: Range<Int>
        /// Whether the cell contains doubled quotes.
        var hasDoubledQuotes = false
    }

    /// The reason why a row is invalid.
    struct Failure: Error { var message: String }

    private let bytes: [UInt8]
    private(set) var cells: [Cell] = []

    /// Splits a row without its line ending; a quote in a cell that does not start with a quote is taken literally.
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
                throw Failure(message: "has text after the closing quote of cell \(cells.count)")
            }
            return
        }
        throw Failure(message: "has a quote in cell \(cells.count + 1) that is never closed")
    }

    /// Returns the text of a cell.
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
