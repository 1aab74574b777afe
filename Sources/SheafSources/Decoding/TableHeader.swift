import SheafCore

/// The first row of a table, and what the rows below become.
final class TableHeader: Sendable {
    /// One member of the JSON object that a row becomes.
    struct Member: Sendable {
        /// The name in quotes and the colon.
        let prefix: [UInt8]
        /// The cell it takes, or nil where the table has no such column.
        let cell: Int?
        /// The name of the column.
        let column: String
    }

    let names: [String]
    let members: [Member]
    /// The cells that may hold the id, best first.
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
