/// A table for people: columns aligned with spaces.
struct TextTable: Sendable {
    /// A cell, and how it is painted once it is aligned.
    struct Cell: Sendable {
        var text: String
        var paint: @Sendable (String) -> String

        init(_ text: String, paint: @escaping @Sendable (String) -> String = { $0 }) {
            self.text = text
            self.paint = paint
        }
    }

    /// A column's heading and side.
    struct Column: Sendable {
        var heading: String
        var isNumeric = false
    }

    private let columns: [Column]
    private var rows: [[Cell]] = []

    init(columns: [Column]) { self.columns = columns }

    /// Adds a row; it has a cell for each column.
    mutating func add(_ cells: [Cell]) { rows.append(cells) }

    /// The lines of the table, the heading first; none ends with spaces.
    var lines: [String] {
        let heading = columns.map { Cell($0.heading) }
        let widths = columns.indices.map { column in
            ([heading] + rows).map { $0[column].text.count }.max() ?? 0
        }
        return ([heading] + rows).map { cells in
            let last = cells.lastIndex { !$0.text.isEmpty } ?? 0
            return cells.indices.prefix(last + 1).map { column in
                let space = String(repeating: " ", count: widths[column] - cells[column].text.count)
                let painted = cells[column].paint(cells[column].text)
                if columns[column].isNumeric { return space + painted }
                return column == last ? painted : painted + space
            }.joined(separator: "  ")
        }
    }
}
