import Foundation
import OrderedCollections
package import SheafBatches
package import SheafCore

extension DeadLetter {
    /// An element of what `dead list --json` prints.
    package var json: JSONValue {
        [
            "number": .integer(Int(offset)), "at": .optional(at?.description), "reason": .string(reason),
            "queue": .string(queue), "type": .string(type), "task_id": .optional(task), "size": .integer(size),
            "preview": .string(String(decoding: preview, as: UTF8.self)),
        ]
    }

    /// Returns what `dead show --json` prints: the body as a string, or in Base64 if it is not UTF-8.
    package func json(with message: Message) -> JSONValue {
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

extension RequeuedLetter {
    /// An element of what `dead requeue --json` prints.
    package var json: JSONValue {
        [
            "number": .integer(Int(offset)), "queue": .string(queue), "requeued": .bool(refusal == nil),
            "reason": .optional(refusal),
        ]
    }
}
