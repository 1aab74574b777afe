package import SheafBatches
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
        case .csv: CSV.write(cells(outcome), to: &output)
        }
        rows += 1
    }

    /// Appends the row of a line of the results log, or nothing if the line is invalid.
    package mutating func write(_ line: ResultLine, to output: inout [UInt8]) {
        let start = output.count
        if format == .json { output.append(contentsOf: (rows > 0 ? ",\n" : "\n").utf8) }
        if format != .csv, Self.writeSuccess(line, batch: batch, to: &output) {
            if format == .jsonl { output.append(UInt8(ascii: "\n")) }
            rows += 1
            return
        }
        output.removeLast(output.count - start)
        if let outcome = line.outcome { write(outcome, to: &output) }
    }

    /// The members of the line of a success at the first attempt, as Sheaf writes them, without `usage` and `output`.
    private static let members = [
        "index", "generation", "status", "record_id", "attempts", "started_at", "finished_at", "worker",
    ]

    /// Appends what ``Outcome/writeRow(batch:to:)`` would append, by copying the parts of the line.
    ///
    /// Returns false, and may have appended a part, if the line is not a success as Sheaf writes it.
    private static func writeSuccess(_ line: ResultLine, batch: Name, to output: inout [UInt8]) -> Bool {
        guard line.summary.status == .succeeded else { return false }
        let bytes = Array(line.bytes)
        guard let slices = try? JSON.slices(of: bytes) else { return false }
        var values: [Range<Int>] = []
        var body: Range<Int>?
        for (name, range) in slices {
            if name == "usage", values.count == 3 { continue }
            if name == "output", values.count == 4, body == nil {
                body = range
            } else if values.count < members.count, members[values.count] == name {
                values.append(range)
            } else {
                return false
            }
        }
        guard values.count == members.count, bytes[values[3].lowerBound] == UInt8(ascii: "\""),
            values[5].count == timeSize, values[6].count == timeSize, bytes[values[7].lowerBound] == UInt8(ascii: "\"")
        else { return false }
        func append(_ name: StaticString, _ value: Range<Int>?) {
            name.withUTF8Buffer { output.append(contentsOf: $0) }
            if let value { output.append(contentsOf: bytes[value]) } else { output.append(contentsOf: "null".utf8) }
        }
        output.append(contentsOf: "{\"batch_id\":\"".utf8)
        output.append(contentsOf: batch.text.utf8)
        append("\",\"index\":", values[0])
        append(",\"record_id\":", values[3])
        append(",\"status\":", values[2])
        append(",\"output\":", body)
        append(",\"error\":null,\"attempts\":", values[4])
        append(",\"started_at\":", values[5])
        append(",\"finished_at\":", values[6])
        append(",\"worker\":", values[7])
        output.append(UInt8(ascii: "}"))
        return true
    }

    /// The size of a timestamp in quotes, such as `"2026-11-29T01:02:03.004Z"`.
    private static let timeSize = 26

    private static let columns = [
        "batch_id", "index", "record_id", "status", "output", "error_type", "error_message", "attempts", "started_at",
        "finished_at", "worker",
    ]

    private func cells(_ outcome: Outcome) -> [String] {
        [
            batch.text, String(outcome.index), outcome.recordID, outcome.status.rawValue,
            outcome.output.map(CSV.text(ofJSON:)) ?? "", outcome.error?.type ?? "", outcome.error?.message ?? "",
            String(outcome.attempts), outcome.startedAt.description, outcome.finishedAt.description, outcome.worker,
        ]
    }
}
