import OrderedCollections
import Sheaf
import SheafCore

extension BatchCreation.Report {
    /// The batch as the JSON object that `create --json` prints, with what else is known of it.
    func extending(_ known: JSONValue) -> JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [
            "batch_id": .string(batch.id.text), "flow": .string(batch.flow.text), "total": .integer(batch.total),
        ]
        for (name, value) in known.objectValue ?? [:] { members[name] = value }
        members["invalid"] = .integer(batch.invalid)
        if let skipped { members["skipped"] = .integer(skipped) }
        if let resumedAt = batch.resumedAt { members["resumed_at"] = .integer(resumedAt) }
        return .object(members)
    }
}

extension CreatedBatch {
    /// What `create --json` prints where there was nothing to create.
    static func none(of flow: Name) -> JSONValue {
        ["batch_id": nil, "flow": .string(flow.text), "total": 0, "invalid": 0]
    }
}
