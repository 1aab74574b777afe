import OrderedCollections

extension Outcome {
    /// Appends the outcome as one line of JSON, with its line break.
    ///
    /// `index`, `generation`, `status` and `usage` come first, so that a reader who only counts can stop there.
    public func writeLine(to output: inout [UInt8]) {
        func field(_ name: StaticString) {
            output.append(UInt8(ascii: ","))
            output.append(UInt8(ascii: "\""))
            name.withUTF8Buffer { output.append(contentsOf: $0) }
            output.append(UInt8(ascii: "\""))
            output.append(UInt8(ascii: ":"))
        }
        func quoted(_ moment: Timestamp) {
            output.append(UInt8(ascii: "\""))
            moment.write(to: &output)
            output.append(UInt8(ascii: "\""))
        }
        output.append(
            contentsOf: "{\"index\":\(index),\"generation\":\(generation),\"status\":\"\(status.rawValue)\"".utf8
        )
        if !usage.isEmpty {
            field("usage")
            usage.json.write(to: &output)
        }
        field("record_id")
        JSON.write(recordID, to: &output)
        if let body = self.output {
            field("output")
            JSON.writeOnOneLine(body, to: &output)
        }
        if let error {
            field("error")
            error.json.write(to: &output)
        }
        field("attempts")
        output.append(contentsOf: String(attempts).utf8)
        field("started_at")
        quoted(startedAt)
        field("finished_at")
        quoted(finishedAt)
        field("worker")
        JSON.write(worker, to: &output)
        if !errors.isEmpty {
            field("errors")
            AttemptError.json(AttemptError.bounded(errors)).write(to: &output)
        }
        if let record {
            field("record_kind")
            JSON.write(record.kind.rawValue, to: &output)
            // What came from outside and failed may not be what it says; the line must be JSON all the same, and a retry
            // publishes exactly what is read back from it.
            if record.isReadable {
                field("record")
                record.writeJSON(to: &output)
            } else {
                field("record_base64")
                JSON.write(Base64.encode(record.bytes), to: &output)
            }
        }
        if let parameters, (try? JSON.validate(Array(parameters.utf8))) != nil {
            field("parameters")
            JSON.writeOnOneLine(parameters.utf8, to: &output)
        }
        output.append(contentsOf: "}\n".utf8)
    }

    /// Reads an outcome from a line of JSON.
    public init(line: [UInt8]) throws(UnreadableMessage) {
        do {
            try self.init(members: line, slices: JSON.slices(of: line))
        } catch let error as JSONError {
            throw UnreadableMessage("an outcome is not JSON: \(error)")
        } catch {
            throw UnreadableMessage("\((error as? UnreadableMessage)?.reason ?? "\(error)")")
        }
    }

    private init(members line: [UInt8], slices: [(name: String, range: Range<Int>)]) throws {
        var fields: [String: JSONValue] = [:]
        var output: [UInt8]?
        var record: [UInt8]?
        // Of members with one name the first stands, as it does for those who only count and stop reading there.
        for (name, range) in slices {
            switch name {
            case "output": output = output ?? Array(line[range])
            case "record": record = record ?? Array(line[range])
            case "index", "generation", "status", "record_id", "error", "attempts", "started_at", "finished_at",
                "worker",
                "record_kind", "record_base64", "parameters", "errors", "usage":
                if fields[name] == nil { fields[name] = try JSON.parse(Array(line[range])) }
            default: continue
            }
        }
        guard let index = fields["index"]?.intValue, (0..<BatchState.maximumTasks).contains(index) else {
            throw UnreadableMessage("an outcome's index is not a whole number from 0")
        }
        guard let status = fields["status"]?.stringValue.flatMap(Status.init(rawValue:)) else {
            throw UnreadableMessage("the status of outcome \(index) is not succeeded, failed or cancelled")
        }
        let identifier = fields["record_id"]?.stringValue ?? String(index)
        let finished = fields["finished_at"]?.stringValue.flatMap { Timestamp($0) } ?? Timestamp(milliseconds: 0)
        var error: Failure?
        if let value = fields["error"], value != .null {
            error = Failure(
                type: value["type"]?.stringValue ?? "error",
                message: value["message"]?.stringValue ?? value.text
            )
        }
        self.init(
            index: index,
            generation: fields["generation"]?.intValue ?? 0,
            status: status,
            recordID: identifier,
            output: output,
            error: error,
            attempts: fields["attempts"]?.intValue ?? 1,
            startedAt: fields["started_at"]?.stringValue.flatMap { Timestamp($0) } ?? finished,
            finishedAt: finished,
            worker: fields["worker"]?.stringValue ?? "",
            record: try Self.bytes(ofRecord: record, fields).map { kind, bytes in
                Record(id: identifier, kind: kind, bytes: bytes)
            },
            parameters: fields["parameters"]?.text,
            errors: AttemptError.list(json: fields["errors"]),
            usage: Usage(json: fields["usage"])
        )
    }

    private static func bytes(
        ofRecord json: [UInt8]?,
        _ fields: [String: JSONValue]
    ) throws -> (Record.Kind, [UInt8])? {
        let kind = fields["record_kind"]?.stringValue.flatMap(Record.Kind.init(rawValue:)) ?? .json
        if let text = fields["record_base64"]?.stringValue {
            guard let bytes = Base64.decode(text) else {
                throw UnreadableMessage("the record_base64 of an outcome is no Base64")
            }
            return (kind, bytes)
        }
        guard let json else { return nil }
        guard kind != .json, case .string(let text) = try JSON.parse(json) else { return (kind, json) }
        return (kind, Array(text.utf8))
    }
}

extension Record {
    /// Whether the record can stand in a line as it is: JSON that is valid, or text that is UTF-8.
    fileprivate var isReadable: Bool {
        switch kind {
        case .json: (try? JSON.validate(bytes)) != nil
        case .text, .binary: String(validating: bytes, as: UTF8.self) != nil
        }
    }
}
