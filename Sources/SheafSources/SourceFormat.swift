/// The format of an input, which decides how it is split into records.
///
/// Text is UTF-8, with or without a byte order mark, with lines that end with LF or CRLF. Content that violates the
/// rules of its format becomes an invalid item with a message and does not affect other records.
public enum SourceFormat: String, Sendable, CaseIterable {
    /// One JSON value per line; blank lines are skipped.
    case jsonl
    /// The elements of a JSON array, or one JSON object; content after invalid syntax is not read.
    case json
    /// Rows after a header, with cells separated by commas (RFC 4180); each row becomes a JSON object of strings.
    ///
    /// Empty lines are skipped. A quote inside a cell that does not start with a quote is taken literally.
    case csv
    /// Rows after a header, with cells separated by tabs; quotes work as in ``csv``.
    case tsv
    /// One record per line of text; empty lines are skipped, and lines with a NUL byte are invalid.
    case lines
    /// One record per file, with its bytes unchanged.
    case files

    /// Creates the format for the extension of a file name; returns nil if the extension is unknown.
    package init?(ending name: String) {
        let file = name.utf8.split(separator: UInt8(ascii: "/")).last.map { String($0) ?? "" } ?? ""
        guard let dot = file.lastIndex(of: "."), dot != file.startIndex else { return nil }
        switch file[file.index(after: dot)...].lowercased() {
        case "jsonl", "ndjson": self = .jsonl
        case "json": self = .json
        case "csv": self = .csv
        case "tsv": self = .tsv
        case "txt", "list", "log": self = .lines
        default: return nil
        }
    }

    /// Whether a file of this format contains structured records.
    var isStructured: Bool {
        switch self {
        case .jsonl, .json, .csv, .tsv: true
        case .lines, .files: false
        }
    }
}
