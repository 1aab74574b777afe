import ArgumentParser

/// How result rows are written.
enum ResultFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// A JSON object a line.
    case jsonl
    /// A table with a header, cells separated by commas (RFC 4180, lines ended by LF).
    case csv
    /// One JSON array.
    case json

    /// The format that the ending of a file's name stands for, or nil.
    init?(ending path: String) {
        let name = path.lowercased()
        guard let format = Self.allCases.first(where: { name.hasSuffix(".\($0.rawValue)") }) else { return nil }
        self = format
    }
}
