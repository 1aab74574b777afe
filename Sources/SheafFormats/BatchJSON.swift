import OrderedCollections
package import SheafBatches
package import SheafCore

// The JSON objects that commands print and a server returns. A batch itself is `BatchSummary.json`.

extension JSONValue {
    /// Returns the object with more members; an added member replaces one of the same name.
    package func adding(_ members: JSONValue) -> JSONValue {
        var all: OrderedDictionary<String, JSONValue> = objectValue ?? [:]
        for (name, value) in members.objectValue ?? [:] { all[name] = value }
        return .object(all)
    }
}

extension CreatedBatch {
    /// Returns what `create --json` prints.
    ///
    /// - Parameters:
    ///   - batch: The JSON of the batch if the command has waited for its end, else an empty object.
    ///   - skipped: How many records were left out because they had succeeded before; nil if that was not asked for.
    package func json(with batch: JSONValue, skipped: Int?) -> JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [
            "batch_id": .string(id.text), "flow": .string(flow.text), "total": .integer(total),
        ]
        for (name, value) in batch.objectValue ?? [:] { members[name] = value }
        members["invalid"] = .integer(invalid)
        members["twins"] = .integer(twins)
        if let skipped { members["skipped"] = .integer(skipped) }
        if let resumedAt { members["resumed_at"] = .integer(resumedAt) }
        return .object(members)
    }

    /// Returns what `create --json` prints if there was nothing to create.
    package static func none(of flow: Name) -> JSONValue {
        ["batch_id": nil, "flow": .string(flow.text), "total": 0, "invalid": 0, "twins": 0]
    }
}

extension BatchChange {
    /// What `pause --json` and `resume --json` print.
    package var json: JSONValue { batch.json.adding(["changed": .bool(hasChanged)]) }
}

extension BatchSummary {
    /// What `set --json` prints.
    package var jsonWithLimit: JSONValue {
        json.adding(["max_running": info.maxRunning.map { .integer($0) } ?? .null])
    }
}

extension RetryReport {
    /// What `retry --json` prints.
    package var json: JSONValue {
        batch.json.adding([
            "retried": .integer(retried), "generation": .integer(generation),
            "left_out": [
                "invalid": .integer(invalid), "without_record": .integer(withoutRecord),
                "not_failed": .integer(unaffected),
            ],
        ])
    }
}

extension DeletedBatch {
    /// An element of what `delete --json` prints.
    package var json: JSONValue { ["batch_id": .string(id.text), "deleted": true, "was_deleted": .bool(wasDeleted)] }
}

extension OpenQuestion {
    /// An element of what `questions --json` prints.
    package var json: JSONValue {
        [
            "task_id": .string(task), "batch_id": .string(batch.text), "number": .integer(id.number),
            "generation": .integer(id.generation), "question": .string(question.text),
            "choices": .array(question.choices.map(JSONValue.string)), "default": .optional(question.fallback),
            "worker": .string(worker), "asked_at": .string(askedAt.description),
        ]
    }
}

extension BatchEvent {
    /// An element of what `events --json` prints.
    package var json: JSONValue {
        [
            "log": .string(log.rawValue), "offset": .integer(Int(offset)), "at": .optional(at?.description),
            "event": .string(what), "index": index.map { .integer($0) } ?? .null,
            "generation": generation.map { .integer($0) } ?? .null, "attempt": attempt.map { .integer($0) } ?? .null,
            "worker": .optional(worker), "error": error?.json ?? .null, "detail": .optional(detail),
            "ignored": .bool(isIgnored),
        ]
    }
}

extension BatchSummary {
    /// What a server returns about one batch: what `status --json` prints, its options as they are now, and its source.
    package var jsonInFull: JSONValue {
        jsonWithLimit.adding([
            "options": info.options.json, "source": .string(info.source), "generation": .integer(info.generation),
            "paused": .bool(info.isPaused),
        ])
    }
}
