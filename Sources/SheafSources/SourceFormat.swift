/// How an input is cut into records.
///
/// Text is UTF-8, with or without a byte order mark, its lines ended by LF or CRLF. What breaks the rules of its format
/// becomes an invalid item with a message and does no harm to the records around it.
public enum SourceFormat: String, Sendable, CaseIterable {
    /// One JSON value a line; blank lines are skipped.
    case jsonl
    /// The elements of a JSON array, or one JSON object; what follows broken syntax is not read.
    case json
    /// Rows under a header, cells separated by commas (RFC 4180); each becomes a JSON object of strings.
    ///
    /// Empty lines are skipped. A quote inside a cell that does not start with one stands for itself.
    case csv
    /// Rows under a header, cells separated by tabs; quotes as in ``csv``.
    case tsv
    /// One record a line of text, empty lines left out; a line with a NUL byte is invalid.
    case lines
    /// One record a file, its bytes as they are.
    case files

    /// The format that the ending of a file name stands for, or nil.
    public init?(ending name: String) {
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

    /// Whether a file of this format holds records with a structure of their own.
    var isStructured: Bool {
        switch self {
        case .jsonl, .json, .csv, .tsv: true
        case .lines, .files: false
        }
    }
}
