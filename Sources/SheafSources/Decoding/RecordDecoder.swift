import SheafCore

/// Makes records out of the bytes of their spans, or says what is wrong with them.
struct RecordDecoder: Sendable {
    /// Where a span comes from.
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

    /// What a span with a defect is called, where its bytes are not needed for that.
    func message(_ span: RecordSpan) -> String? {
        switch span.defect {
        case nil, .brokenValue: nil
        case .tooLarge: tooLarge(span.length)
        case .unterminatedQuote: "a quote that opens in this row is not closed by the end of the file"
        case .unfinishedValue: "broken JSON: the file ends within this value"
        case .missingElement: "broken JSON: expected a value; what follows in the array is not read"
        case .unfinishedArray: "broken JSON: the file ends within the array"
        case .textAfterValue:
            "broken JSON: unexpected text after the value, not read (one value a line is the format jsonl)"
        case .neitherArrayNorObject: "is neither a JSON array nor a JSON object; nothing of the file is read"
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
                return .invalid(message: "is not an object, so it has no fields to take")
            }
            return try fields(bytes, origin)
        } catch {
            return .invalid(message: jsonFailure(error, in: bytes, origin))
        }
    }

    /// Takes the chosen fields of an object, each as it stands.
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
        guard let header = origin.header else { return .invalid(message: "has no header above it") }
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

    /// Checks what holds for every record, and falls back to its place for an id.
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

    /// The byte between the cells of a table.
    static func separator(of format: SourceFormat) -> UInt8 {
        format == .tsv ? UInt8(ascii: "\t") : UInt8(ascii: ",")
    }
}
