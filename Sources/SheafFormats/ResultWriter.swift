package import SheafCore

/// A format of result rows.
package enum ResultFormat: String, CaseIterable, Sendable {
    /// One JSON object per line.
    case jsonl
    /// A table with a header and cells separated by commas (RFC 4180, lines end with LF).
    case csv
    /// One JSON array.
    case json

    /// Finds the format for the ending of a file's name; returns nil if there is none.
    package init?(ending path: String) {
        let name = path.lowercased()
        guard let format = Self.allCases.first(where: { name.hasSuffix(".\($0.rawValue)") }) else { return nil }
        self = format
    }
}

/// Formats outcomes as rows, piece by piece.
package struct ResultWriter: Sendable {
    private let format: ResultFormat
    private let batch: Name
    /// How many rows have been written.
    package private(set) var rows = 0

    /// Creates a writer for the results of a batch.
    package init(format: ResultFormat, batch: Name) {
        self.format = format
        self.batch = batch
    }

    /// The bytes before the first row.
    package var head: [UInt8] {
        switch format {
        case .jsonl: []
        case .json: Array("[".utf8)
        case .csv: Array((Self.columns.joined(separator: ",") + "\n").utf8)
        }
    }

    /// The bytes after the last row.
    package var tail: [UInt8] {
        switch format {
        case .jsonl, .csv: []
        case .json: Array((rows > 0 ? "\n]\n" : "]\n").utf8)
        }
    }

    /// Appends the row of an outcome.
    package mutating func write(_ outcome: Outcome, to output: inout [UInt8]) {
        switch format {
        case .jsonl:
            outcome.writeRow(batch: batch, to: &output)
            output.append(UInt8(ascii: "\n"))
        case .json:
            output.append(contentsOf: (rows > 0 ? ",\n" : "\n").utf8)
            outcome.writeRow(batch: batch, to: &output)
        case .csv:
            for (column, cell) in cells(outcome).enumerated() {
                if column > 0 { output.append(UInt8(ascii: ",")) }
                Self.write(cell: cell, to: &output)
            }
            output.append(UInt8(ascii: "\n"))
        }
        rows += 1
    }

    private static let columns = [
        "batch_id", "index", "record_id", "status", "output", "error_type", "error_message", "attempts", "started_at",
        "finished_at", "worker",
    ]

    private func cells(_ outcome: Outcome) -> [String] {
        [
            batch.text, String(outcome.index), outcome.recordID, outcome.status.rawValue,
            outcome.output.map(Self.text(ofOutput:)) ?? "", outcome.error?.type ?? "", outcome.error?.message ?? "",
            String(outcome.attempts), outcome.startedAt.description, outcome.finishedAt.description, outcome.worker,
        ]
    }

    /// Returns a string without quotes, and any other value as JSON.
    private static func text(ofOutput json: [UInt8]) -> String {
        if json.first == UInt8(ascii: "\""), let text = (try? JSON.parse(json))?.stringValue { return text }
        return String(decoding: json, as: UTF8.self)
    }

    private static func write(cell: String, to output: inout [UInt8]) {
        let needsQuotes = cell.utf8.contains { byte in
            byte == UInt8(ascii: ",") || byte == UInt8(ascii: "\"") || byte == 0x0A || byte == 0x0D
        }
        guard needsQuotes else {
            output.append(contentsOf: cell.utf8)
            return
        }
        output.append(UInt8(ascii: "\""))
        for byte in cell.utf8 {
            if byte == UInt8(ascii: "\"") { output.append(byte) }
            output.append(byte)
        }
        output.append(UInt8(ascii: "\""))
    }
}
