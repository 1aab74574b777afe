extension Outcome {
    /// Appends the outcome as the JSON object that `sheaf results` prints, without a line break.
    ///
    /// `errors` is there only where an attempt failed.
    public func writeRow(batch: Name, to row: inout [UInt8]) {
        func field(_ name: StaticString) {
            row.append(contentsOf: ",\"".utf8)
            name.withUTF8Buffer { row.append(contentsOf: $0) }
            row.append(contentsOf: "\":".utf8)
        }
        row.append(contentsOf: "{\"batch_id\":\"\(batch.text)\",\"index\":\(index)".utf8)
        field("record_id")
        JSON.write(recordID, to: &row)
        field("status")
        JSON.write(status.rawValue, to: &row)
        field("output")
        if let output { JSON.writeOnOneLine(output, to: &row) } else { row.append(contentsOf: "null".utf8) }
        field("error")
        if let error { error.json.write(to: &row) } else { row.append(contentsOf: "null".utf8) }
        field("attempts")
        row.append(contentsOf: String(attempts).utf8)
        if !errors.isEmpty {
            field("errors")
            AttemptError.json(AttemptError.bounded(errors)).write(to: &row)
        }
        field("started_at")
        JSON.write(startedAt.description, to: &row)
        field("finished_at")
        JSON.write(finishedAt.description, to: &row)
        field("worker")
        JSON.write(worker, to: &row)
        row.append(UInt8(ascii: "}"))
    }
}

extension Outcome.Failure {
    /// The failure as a JSON object.
    public var json: JSONValue { ["type": .string(type), "message": .string(message)] }
}
