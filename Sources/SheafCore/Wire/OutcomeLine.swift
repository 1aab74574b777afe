import OrderedCollections

extension Outcome {
    /// Appends the outcome as one line of JSON, including the line break.
    ///
    /// `index`, `generation`, `status` and `usage` come first, so that a reader that only counts can stop there.
    package func writeLine(to output: inout [UInt8]) {
        func field(_ name: StaticString) {
            output.append(UInt8(ascii: ","))
            output.append(UInt8(ascii: "\""))
            name.withUTF8Buffer { output.append(contentsOf: $0) }
            output.append(UInt8(ascii: "\""))
            output.append(UInt8(ascii: ":"))
        }
        func quoted(_ time: Timestamp) {
            output.append(UInt8(ascii: "\""))
            time.write(to: &output)
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
        if let sameAs {
            field("same_as")
            output.append(contentsOf: String(sameAs).utf8)
        }
        if !errors.isEmpty {
            field("errors")
            AttemptError.json(AttemptError.bounded(errors)).write(to: &output)
        }
        if let record {
            field("record_kind")
            JSON.write(record.kind.rawValue, to: &output)
            // The bytes of a failed record may not match its kind. The line must be valid JSON anyway, and a retry
            // publishes exactly the bytes that it reads back from the line.
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

    /// Decodes an outcome from a line of JSON.
    package init(line: [UInt8]) throws(UnreadableMessage) {
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
        // Of members with the same name the first one counts, as it does for readers that only count and stop early.
        for (name, range) in slices {
            switch name {
            case "output": output = output ?? Array(line[range])
            case "record": record = record ?? Array(line[range])
            case "index", "generation", "status", "record_id", "error", "attempts", "started_at", "finished_at",
                "worker",
                "record_kind", "record_base64", "parameters", "errors", "usage", "same_as":
                if fields[name] == nil { fields[name] = try JSON.parse(Array(line[range])) }
            default: continue
            }
        }
        guard let index = fields["index"]?.intValue, (0..<BatchState.maximumTasks).contains(index) else {
            throw UnreadableMessage("an outcome's index is not an integer from 0")
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
            usage: Usage(json: fields["usage"]),
            sameAs: fields["same_as"]?.intValue.flatMap { (0..<BatchState.maximumTasks).contains($0) ? $0 : nil }
        )
    }

    private static func bytes(
        ofRecord json: [UInt8]?,
        _ fields: [String: JSONValue]
    ) throws -> (Record.Kind, [UInt8])? {
        let kind = fields["record_kind"]?.stringValue.flatMap(Record.Kind.init(rawValue:)) ?? .json
        if let text = fields["record_base64"]?.stringValue {
            guard let bytes = Base64.decode(text) else {
                throw UnreadableMessage("the record_base64 of an outcome is not Base64")
            }
            return (kind, bytes)
        }
        guard let json else { return nil }
        guard kind != .json, case .string(let text) = try JSON.parse(json) else { return (kind, json) }
        return (kind, Array(text.utf8))
    }
}

extension Record {
    /// Whether a line can contain the record as it is: valid JSON, or UTF-8 text.
    fileprivate var isReadable: Bool {
        switch kind {
        case .json: (try? JSON.validate(bytes)) != nil
        case .text, .binary: String(validating: bytes, as: UTF8.self) != nil
        }
    }
}

/// The part of an outcome that is needed for counting.
package struct OutcomeSummary: Sendable, Hashable {
    /// The task's index within its batch.
    package var index: Int
    /// The generation that the task ran for.
    package var generation: Int
    /// How the task ended.
    package var status: Outcome.Status
    /// Whether the task failed because its record could not be read.
    package var isInvalidRecord: Bool
    /// The usage, if the task succeeded.
    package var usage: Usage

    package init(
        index: Int,
        generation: Int = 0,
        status: Outcome.Status,
        isInvalidRecord: Bool = false,
        usage: Usage = Usage()
    ) {
        self.index = index
        self.generation = generation
        self.status = status
        self.isInvalidRecord = isInvalidRecord
        self.usage = usage
    }

    /// Decodes the summary of a line; stops early if the line starts the way Sheaf writes it.
    package init(line: UnsafeBufferPointer<UInt8>) throws(UnreadableMessage) {
        if let quick = Self.quick(line) {
            self = quick
            return
        }
        self = try Outcome(line: Array(line)).summary
    }

    private static let indexKey = Array("{\"index\":".utf8)
    private static let generationKey = Array(",\"generation\":".utf8)
    private static let succeeded = Array(",\"status\":\"succeeded\",".utf8)
    private static let usageKey = Array("\"usage\":{\"".utf8)

    private static let (colon, nextName, end) = (Array("\":".utf8), Array(",\"".utf8), Array("},".utf8))

    /// Whether a byte of a name needs no decoding.
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
    }

    /// A fast path for successes written by Sheaf, which are most outcomes; returns nil for all other lines.
    private static func quick(_ line: UnsafeBufferPointer<UInt8>) -> OutcomeSummary? {
        var position = 0
        func take(_ word: [UInt8]) -> Bool {
            guard position + word.count <= line.count, line[position..<position + word.count].elementsEqual(word) else {
                return false
            }
            position += word.count
            return true
        }
        func number() -> Int? {
            let start = position
            var value = 0
            while position < line.count, line[position] &- 0x30 < 10, position - start < 16 {
                value = value * 10 + Int(line[position] - 0x30)
                position += 1
            }
            return position > start ? value : nil
        }
        guard take(indexKey), let index = number(), index < BatchState.maximumTasks, take(generationKey),
            let generation = number(), take(succeeded), line.last == UInt8(ascii: "}")
        else { return nil }
        guard take(usageKey) else { return OutcomeSummary(index: index, generation: generation, status: .succeeded) }
        var usage = Usage()
        while true {
            let start = position
            while position < line.count, isPlain(line[position]) { position += 1 }
            let name = String(decoding: line[start..<position], as: UTF8.self)
            guard take(colon), usage.amounts[name] == nil, let amount = number() else { return nil }
            usage.add(amount, to: name)
            if take(nextName) { continue }
            guard take(end) else { return nil }
            return OutcomeSummary(index: index, generation: generation, status: .succeeded, usage: usage)
        }
    }
}

extension Outcome {
    /// The part of the outcome that is needed for counting.
    package var summary: OutcomeSummary {
        OutcomeSummary(
            index: index,
            generation: generation,
            status: status,
            isInvalidRecord: error?.type == Failure.invalidRecord,
            usage: status == .succeeded ? usage : Usage()
        )
    }
}
