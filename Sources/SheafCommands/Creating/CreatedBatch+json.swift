import OrderedCollections
import Sheaf
import SheafCore

extension CreatedBatch {
    /// The batch as the JSON object that `create --json` prints, with what else is known of it.
    func extending(_ known: JSONValue) -> JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [
            "batch_id": .string(id.text), "flow": .string(flow.text), "total": .integer(total),
        ]
        for (name, value) in known.objectValue ?? [:] { members[name] = value }
        members["invalid"] = .integer(invalid)
        return .object(members)
    }
}
