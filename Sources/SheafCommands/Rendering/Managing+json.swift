import Foundation
import OrderedCollections
import Sheaf
import SheafCore

extension JSONValue {
    /// The object with more members; of those with one name the added one wins.
    func adding(_ members: JSONValue) -> JSONValue {
        var all: OrderedDictionary<String, JSONValue> = objectValue ?? [:]
        for (name, value) in members.objectValue ?? [:] { all[name] = value }
        return .object(all)
    }
}

extension BatchChange {
    /// What `pause --json` and `resume --json` print.
    var json: JSONValue { batch.json.adding(["changed": .bool(hasChanged)]) }
}

extension RetryReport {
    /// What `retry --json` prints.
    var json: JSONValue {
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
    /// One element of what `delete --json` prints.
    var json: JSONValue { ["batch_id": .string(id.text), "deleted": true, "was_deleted": .bool(wasDeleted)] }
}

extension RequeuedLetter {
    /// One element of what `dead requeue --json` prints.
    var json: JSONValue {
        [
            "number": .integer(Int(offset)), "queue": .string(queue), "requeued": .bool(refusal == nil),
            "reason": .optional(refusal),
        ]
    }
}

extension DeadLetter {
    /// One element of what `dead list --json` prints.
    var json: JSONValue {
        [
            "number": .integer(Int(offset)), "at": .optional(at?.description), "reason": .string(reason),
            "queue": .string(queue), "type": .string(type), "task_id": .optional(task), "size": .integer(size),
            "preview": .string(String(decoding: preview, as: UTF8.self)),
        ]
    }

    /// What `dead show --json` prints: the body as text, or in Base64 where it is not UTF-8.
    func json(with message: Message) -> JSONValue {
        var headers: OrderedDictionary<String, JSONValue> = [:]
        for header in message.headers {
            switch header.value {
            case .string(let text): headers[header.name] = .string(text)
            case .integer(let number): headers[header.name] = .integer(Int(number))
            case .bool(let flag): headers[header.name] = .bool(flag)
            }
        }
        let text = String(validating: message.body, as: UTF8.self)
        return json.adding([
            "message_id": .string(message.id), "content_type": .string(message.contentType),
            "headers": .object(headers), "body": .optional(text),
            "body_base64": .optional(text == nil ? Data(message.body).base64EncodedString() : nil),
        ])
    }
}
