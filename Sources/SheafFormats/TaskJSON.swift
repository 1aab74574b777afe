import OrderedCollections
package import SheafBatches
package import SheafCore

// The JSON objects of tasks in lists, single tasks and groups of errors.

extension TaskRow {
    /// The task as an element of a list; it has no record and no output.
    package var json: JSONValue {
        // A task that was retried and has not ended since has no result yet; its record's id is known nevertheless.
        let current = outcome.flatMap { $0.generation == generation ? $0 : nil }
        return [
            "index": .integer(index), "record_id": .optional(outcome?.recordID), "status": .string(status.rawValue),
            "generation": .integer(generation), "attempts": current.map { .integer($0.attempts) } ?? .null,
            "error": current?.error?.json ?? .null, "started_at": .optional(current?.startedAt.description),
            "finished_at": .optional(current?.finishedAt.description), "worker": .optional(current?.worker),
            "same_as": sameAs.map { .integer($0) } ?? .null,
        ]
    }
}

extension TaskPage {
    /// The page as the JSON object that a list returns; `next` is the cursor of the next page.
    package var json: JSONValue {
        [
            "jobs": .array(rows.map(\.json)), "next": .optional(next.map(String.init)), "total": .integer(total),
        ]
    }
}

extension TaskDetail {
    /// The task as a JSON object, with the first 16 KiB of its record and its output as text.
    ///
    /// - Parameters:
    ///   - batch: The batch.
    ///   - twins: The indexes of all tasks of the same record, or an empty list if they were not looked up.
    package func json(batch: Name, twins: [Int]) -> JSONValue {
        var json = row.json.adding([
            "batch_id": .string(batch.text), "task_id": .string("\(batch):\(row.index)"),
            "record": record.map { Payload(bytes: $0.bytes, kind: $0.kind).json } ?? .null,
            "output": output.map { Payload(bytes: $0, kind: .json).json } ?? .null,
            "parameters": .optional(outcome?.parameters),
            "history": .array(attempts.map(\.json)),
        ])
        if let outcome, outcome.generation == row.generation {
            json = json.adding(["error": outcome.error?.json ?? .null, "usage": outcome.usage.json])
        }
        if twins.count > 1 { json = json.adding(["same_record": .array(twins.map { .integer($0) })]) }
        return json
    }
}

extension TaskAttempt {
    /// The attempt as a JSON object.
    package var json: JSONValue {
        [
            "generation": .integer(generation), "attempt": .integer(attempt), "status": .string(status.rawValue),
            "error": error?.json ?? .null, "started_at": .optional(startedAt?.description),
            "finished_at": .string(finishedAt.description), "worker": .string(worker),
        ]
    }
}

extension ErrorGroup {
    /// The group as a JSON object.
    package var json: JSONValue {
        [
            "group": .string(id), "error_type": .optional(type), "pattern": .optional(pattern),
            "example": .string(example), "count": .integer(count),
            "first": ["index": .integer(first), "record_id": .optional(firstRecord)],
        ]
    }
}

/// The beginning of a record or an output, as text, so that no reader changes a number or a byte of it.
private struct Payload {
    let bytes: [UInt8]
    let kind: Record.Kind

    private static let maximumText = 16 << 10

    var json: JSONValue {
        let text = text
        return [
            "kind": .string(kind.rawValue), "size": .integer(bytes.count), "text": .optional(text),
            "truncated": .bool(text?.utf8.count != bytes.count),
        ]
    }

    /// The text up to the last whole character that fits, or nil if the bytes are not UTF-8.
    private var text: String? {
        if bytes.count <= Self.maximumText { return String(validating: bytes, as: UTF8.self) }
        var end = Self.maximumText
        while end > 0, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        return String(validating: bytes[..<end], as: UTF8.self)
    }
}
