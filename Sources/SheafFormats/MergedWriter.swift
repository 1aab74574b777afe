import OrderedCollections
package import SheafBatches
import SheafCore

/// Formats outcomes with their records as rows: the record's fields, then `_status`, `_output` and `_error`.
///
/// A record that is not a JSON object is the field `_record`. The rows of a batch with several variants of parameters
/// also have `_parameters`. A field of the record with one of these names is replaced.
package struct MergedWriter: Sendable {
    private let format: ResultFormat
    private let columns: OrderedSet<String>
    /// How many rows have been written.
    package private(set) var rows = 0

    /// The names of fields that replace those of a record.
    private static let reserved: Set<String> = ["_parameters", "_status", "_output", "_error"]

    /// The most columns of a table.
    private static let maximumColumns = 1000

    /// Creates a writer; for a table it reads the input once to find all columns, in the order of their appearance.
    ///
    /// - Throws: ``Problem`` if the records have more than 1,000 different fields, and the errors of the input.
    package init(format: ResultFormat, for merged: MergedResults) async throws {
        self.format = format
        var columns = OrderedSet<String>()
        if format == .csv {
            try await merged.records { record in
                for (name, _) in Self.fields(of: record) where !Self.reserved.contains(name) { columns.append(name) }
                return columns.count <= Self.maximumColumns
            }
            guard columns.count <= Self.maximumColumns else {
                throw Problem(
                    .usage,
                    "the records have more than \(Self.maximumColumns) different fields, too many for a table; use jsonl"
                )
            }
            if merged.hasVariants { columns.append("_parameters") }
            columns.append(contentsOf: ["_status", "_output", "_error"])
        }
        self.columns = columns
    }

    /// The bytes before the first row.
    package var head: [UInt8] {
        switch format {
        case .jsonl: return []
        case .json: return Array("[".utf8)
        case .csv:
            var line: [UInt8] = []
            CSV.write(columns.elements, to: &line)
            return line
        }
    }

    /// The bytes after the last row.
    package var tail: [UInt8] {
        switch format {
        case .jsonl, .csv: []
        case .json: Array((rows > 0 ? "\n]\n" : "]\n").utf8)
        }
    }

    /// Appends a row, or nothing if the line of its outcome is invalid.
    package mutating func write(_ row: MergedResults.Row, to output: inout [UInt8]) {
        guard let outcome = row.line.outcome else { return }
        var fields = OrderedDictionary<String, [UInt8]>()
        for field in row.record.map(Self.fields) ?? [] where !Self.reserved.contains(field.name) {
            if fields[field.name] == nil { fields[field.name] = field.value }
        }
        var own: OrderedDictionary<String, [UInt8]> = [:]
        if let parameters = row.parameters { own["_parameters"] = Array(parameters.utf8) }
        own["_status"] = JSONValue.string(outcome.status.rawValue).bytes
        own["_output"] = outcome.output ?? Self.null
        own["_error"] = outcome.error?.json.bytes ?? Self.null
        fields.merge(own) { $1 }
        switch format {
        case .jsonl:
            Self.writeObject(fields, to: &output)
            output.append(UInt8(ascii: "\n"))
        case .json:
            output.append(contentsOf: (rows > 0 ? ",\n" : "\n").utf8)
            Self.writeObject(fields, to: &output)
        case .csv:
            if let error = outcome.error {
                fields["_error"] = JSONValue.string("\(error.type): \(error.message)").bytes
            }
            CSV.write(columns.map { fields[$0].map(Self.cell) ?? "" }, to: &output)
        }
        rows += 1
    }

    private static let null = Array("null".utf8)

    /// The fields of a record with their values as JSON.
    private static func fields(of record: Record) -> [(name: String, value: [UInt8])] {
        if record.kind == .json, record.bytes.first(where: { $0 > 0x20 }) == UInt8(ascii: "{"),
            let slices = try? JSON.slices(of: record.bytes)
        {
            return slices.map { ($0.name, Array(record.bytes[$0.range])) }
        }
        var value: [UInt8] = []
        record.writeJSON(to: &value)
        return [("_record", value)]
    }

    private static func writeObject(_ fields: OrderedDictionary<String, [UInt8]>, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "{"))
        for (position, (name, value)) in fields.enumerated() {
            if position > 0 { output.append(UInt8(ascii: ",")) }
            JSON.write(name, to: &output)
            output.append(UInt8(ascii: ":"))
            JSON.writeOnOneLine(value, to: &output)
        }
        output.append(UInt8(ascii: "}"))
    }

    /// A string without quotes, nothing for null, and any other value as JSON.
    private static func cell(_ json: [UInt8]) -> String {
        json == null ? "" : CSV.text(ofJSON: json)
    }
}

/// Lines of a table (RFC 4180) that end with LF.
enum CSV {
    /// Appends a line.
    static func write(_ cells: [String], to output: inout [UInt8]) {
        for (column, cell) in cells.enumerated() {
            if column > 0 { output.append(UInt8(ascii: ",")) }
            write(cell, to: &output)
        }
        output.append(UInt8(ascii: "\n"))
    }

    /// Returns a string without quotes, and any other value as JSON.
    static func text(ofJSON json: [UInt8]) -> String {
        if json.first == UInt8(ascii: "\""), let text = (try? JSON.parse(json))?.stringValue { return text }
        return String(decoding: json, as: UTF8.self)
    }

    private static func write(_ cell: String, to output: inout [UInt8]) {
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
