import OrderedCollections
package import SheafCore

extension Submission {
    /// An element of what `submissions --json` prints.
    package var json: JSONValue {
        let decision: JSONValue =
            switch resolution {
            case .created(let id): ["id": .string(id)]
            case .notCreated: ["id": nil]
            case nil: nil
            }
        return [
            "key": .string(key), "id": .optional(id), "batch_id": .string(batch.text), "flow": .string(flow.text),
            "state": .string(state.rawValue), "requests": .integer(requests), "results": .integer(results),
            "missing": .integer(missing), "usage": usage.json, "address": .string(address), "file": .optional(file),
            "message": message.isEmpty ? nil : .string(message), "worker": .string(worker),
            "announced_at": .string(announcedAt.description), "changed_at": .string(changedAt.description),
            "rejection": rejection.isEmpty ? nil : .string(rejection),
            "cancelled_by": .optional(cancelledBy), "resolution": decision,
        ]
    }
}

extension BatchTask {
    /// A line of what `submissions show --requests` prints.
    package var requestJSON: JSONValue {
        get throws {
            [
                "task_id": .string("\(batch):\(index)"), "index": .integer(index), "record_id": .string(record.id),
                "generation": .integer(generation), "attempt": .integer(attempt),
                "record": try record.json,
                "parameters": try parameters.map { try JSON.parse($0) } ?? nil,
            ]
        }
    }
}
