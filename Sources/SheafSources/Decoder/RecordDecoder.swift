import SheafCore

/// Decodes records from the bytes of their spans, or describes why they are invalid.
struct RecordDecoder: Sendable {
    /// The origin of a span.
    struct Origin {
        var format: SourceFormat
        var place: String
        var line: Int
        var header: TableHeader?
    }

    private let rule: FieldRule
    private let limit: Int

    init(rule: FieldRule, limit: Int) {
        self.rule = rule
        self.limit = limit
    }

    /// Returns the error message for a span with a defect, unless the message depends on the bytes.
    func message(_ span: RecordSpan) -> String? {
        switch span.defect {
        case nil, .brokenValue: nil
        case .tooLarge: tooLarge(span.length)
        case .unterminatedQuote: "a quote that opens in this row is not closed before the end of the file"
        case .unfinishedValue: "broken JSON: the file ends within this value"
        case .missingElement: "broken JSON: expected a value; what follows in the array is not read"
        case .unfinishedArray: "broken JSON: the file ends within the array"
        case .textAfterValue:
            "broken JSON: unexpected text after the value, not read (for one value per line, use the format jsonl)"
        case .neitherArrayNorObject: "is neither a JSON array nor a JSON object; the file is not read"
        }
    }

    /// Decodes one record.
    func content(_ bytes: [UInt8], of origin: Origin) -> SourceItem.Content {
        switch origin.format {
        case .jsonl, .json: json(bytes, origin)
        case .csv, .tsv: row(bytes, origin)
        case .lines: line(bytes, origin)
        case .files: record(id: nil, kind: TextCheck.isUTF8(bytes) ? .text : .binary, bytes, origin)
        }
    }

    private func line(_ bytes: [UInt8], _ origin: Origin) -> SourceItem.Content {
        if let message = textFailure(bytes) { return .invalid(message: message) }
        return record(id: nil, kind: .text, bytes, origin)
    }

    private func json(_ bytes: [UInt8], _ origin: Origin) -> SourceItem.Content {
        do {
            if rule.columns.isEmpty {
                let found = try JSON.members(rule.idNames, of: bytes)
                return record(id: id(in: found), kind: .json, bytes, origin)
            }
            let first = bytes.first { $0 != 0x20 && $0 != 0x09 }
            guard first == UInt8(ascii: "{") else {
                try JSON.validate(bytes)
                return .invalid(message: "is not an object, so it has no fields to select")
            }
            return try fields(bytes, origin)
        } catch {
            return .invalid(message: jsonFailure(error, in: bytes, origin))
        }
    }

    /// Selects fields of an object without changing their values.
    private func fields(_ bytes: [UInt8], _ origin: Origin) throws(JSONError) -> SourceItem.Content {
        var places: [String: Range<Int>] = [:]
        for slice in try JSON.slices(of: bytes) { places[slice.name] = slice.range }
        var output: [UInt8] = [UInt8(ascii: "{")]
        for (new, source) in rule.columns {
            guard let range = places[source] else { return .invalid(message: "has no field '\(source)'") }
            if output.count > 1 { output.append(UInt8(ascii: ",")) }
            JSON.write(new, to: &output)
            output.append(UInt8(ascii: ":"))
            JSON.writeOnOneLine(bytes[range], to: &output)
        }
        output.append(UInt8(ascii: "}"))
        return record(id: id(in: try JSON.members(rule.idNames, of: bytes)), kind: .json, output, origin)
    }

    private func row(_ bytes: [UInt8], _ origin: Origin) -> SourceItem.Content {
        guard let header = origin.header else { return .invalid(message: "has no header before it") }
        if let message = textFailure(bytes) { return .invalid(message: message) }
        do {
            let separator = Self.separator(of: origin.format)
            let row = try TableRow(bytes, separator: separator, expecting: header.names.count)
            guard row.cells.count == header.names.count else {
                let found = "\(row.cells.count) cell\(row.cells.count == 1 ? "" : "s")"
                return .invalid(message: "line \(origin.line) has \(found); the header has \(header.names.count)")
            }
            var output: [UInt8] = [UInt8(ascii: "{")]
            output.reserveCapacity(bytes.count * 2)
            for member in header.members {
                guard let cell = member.cell else { return .invalid(message: "has no column '\(member.column)'") }
                if output.count > 1 { output.append(UInt8(ascii: ",")) }
                output.append(contentsOf: member.prefix)
                JSON.write(row.text(row.cells[cell]), to: &output)
            }
            output.append(UInt8(ascii: "}"))
            let id = header.idCells.lazy.map { row.text(row.cells[$0]) }.first { !$0.isEmpty }
            return record(id: id, kind: .json, output, origin)
        } catch {
            return .invalid(message: error.message)
        }
    }

    /// Checks the rules for all records; if there is no id, the place becomes the id.
    private func record(id: String?, kind: Record.Kind, _ bytes: [UInt8], _ origin: Origin) -> SourceItem.Content {
        let id = id ?? origin.place
        if id.utf8.count > Record.maximumIDSize {
            return .invalid(message: "its id is \(id.utf8.count) bytes long; the limit is \(Record.maximumIDSize)")
        }
        if bytes.count > limit { return .invalid(message: tooLarge(bytes.count)) }
        return .record(Record(id: id, kind: kind, bytes: bytes))
    }

    private func id(in members: [String: JSONValue]) -> String? {
        if members.isEmpty { return nil }
        return rule.idNames.lazy.compactMap { members[$0].flatMap(FieldRule.id) }.first
    }

    private func tooLarge(_ size: Int) -> String {
        "is \(TextCheck.size(size)); the limit is \(TextCheck.limit(limit))"
    }

    private func textFailure(_ bytes: [UInt8]) -> String? {
        if let place = bytes.firstIndex(of: 0) {
            return "has a NUL byte at column \(TextCheck.column(of: place, in: bytes))"
        }
        return TextCheck.isUTF8(bytes) ? nil : "is not UTF-8 text"
    }

    private func jsonFailure(_ error: JSONError, in bytes: [UInt8], _ origin: Origin) -> String {
        let isNUL = error.offset < bytes.count && bytes[error.offset] == 0
        let what = isNUL ? "a NUL byte" : error.message
        if origin.format == .json {
            let line = origin.line + bytes.prefix(error.offset).count { $0 == UInt8(ascii: "\n") }
            return "broken JSON in line \(line): \(what); what follows in the file is not read"
        }
        return "broken JSON: \(what) at column \(TextCheck.column(of: error.offset, in: bytes))"
    }

    /// Returns the byte that separates the cells of a table.
    static func separator(of format: SourceFormat) -> UInt8 {
        format == .tsv ? UInt8(ascii: "\t") : UInt8(ascii: ",")
    }
}

/// The rule for which fields a record has and which one is its id.
struct FieldRule: Sendable {
    /// New names and names in the input, sorted by new name; if empty, records stay unchanged.
    let columns: [(new: String, source: String)]
    /// The names, in the input, of fields that can be the id, in order of preference.
    let idNames: [String]

    init(_ configuration: SourceConfiguration) {
        let columns = configuration.columns
        self.columns = columns.sorted { $0.key < $1.key }.map { (new: $0.key, source: $0.value) }
        let wanted = configuration.idField.map { [$0] } ?? ["id", "record_id"]
        var names: [String] = []
        for name in wanted.compactMap({ columns[$0] }) + wanted where !names.contains(name) { names.append(name) }
        self.idNames = names
    }

    /// The names of fields of a record, as it is read, that can be the id, in order of preference.
    var idFields: [String] {
        if columns.isEmpty { return idNames }
        return idNames.flatMap { name in columns.filter { $0.source == name }.map(\.new) }
    }

    /// Returns the id that a value stands for, or nil if it cannot be an id.
    static func id(_ value: JSONValue) -> String? {
        switch value {
        case .string(let text): text.isEmpty ? nil : text
        case .number(let digits): digits
        case .bool(let flag): flag ? "true" : "false"
        case .null, .array, .object: nil
        }
    }
}

/// Functions that check text and describe positions and sizes.
enum TextCheck {
    /// Returns whether the bytes are UTF-8.
    static func isUTF8(_ bytes: [UInt8]) -> Bool {
        isASCII(bytes) || String(validating: bytes, as: UTF8.self) != nil
    }

    private static func isASCII(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { raw in
            var position = 0
            while position + 8 <= raw.count {
                let word = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
                if word & 0x8080_8080_8080_8080 != 0 { return false }
                position += 8
            }
            return raw[position...].allSatisfy { $0 < 0x80 }
        }
    }

    /// Returns the column of a byte, counted in Unicode scalars from 1.
    static func column(of offset: Int, in bytes: some Collection<UInt8>) -> Int {
        bytes.prefix(offset).count { $0 & 0xC0 != 0x80 } + 1
    }

    /// Formats a size, rounded up so that it never looks equal to a limit that it exceeds.
    static func size(_ count: Int) -> String {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] where count >= 1 << shift {
            let tenths = (count * 10 + 1 << shift - 1) >> shift
            return "\(tenths / 10).\(tenths % 10) \(unit)"
        }
        return "\(count) bytes"
    }

    /// Formats a limit like a size, without a decimal that is zero.
    static func limit(_ count: Int) -> String {
        size(count).replacing(".0 ", with: " ")
    }
}
