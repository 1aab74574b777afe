/// The samples of a text in the format of Prometheus, by name and labels.
struct Samples {
    private let values: [String: Double]

    init(_ text: String) {
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
        values = Dictionary(
            lines.compactMap { line in
                guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
                    return nil
                }
                return (String(line[..<space]), value)
            },
            uniquingKeysWith: { _, last in last }
        )
    }

    subscript(_ series: String) -> Double? { values[series] }

    /// The names of all series, with their labels.
    var series: [String] { values.keys.sorted() }
}
