import OrderedCollections
import SheafBroker
package import SheafCore

/// A place in the numbered logs of a dispatcher's requests.
package struct RequestPosition: Sendable, Hashable, Comparable {
    /// The number of the log, from 1.
    package var log: Int
    /// The offset in it.
    package var offset: Int64

    package init(log: Int, offset: Int64) {
        self.log = log
        self.offset = offset
    }

    package static func < (left: RequestPosition, right: RequestPosition) -> Bool {
        (left.log, left.offset) < (right.log, right.offset)
    }

    fileprivate var json: JSONValue { [.integer(log), .integer(offset)] }

    fileprivate init?(_ json: JSONValue?) {
        guard let parts = json?.arrayValue, parts.count == 2, let log = parts[0].intValue, log >= 0,
            let offset = parts[1].intValue, offset >= 0
        else { return nil }
        self.init(log: log, offset: Int64(offset))
    }
}

/// The decision that requests form a batch: those of one key in a range of positions.
package struct Cut: Sendable, Equatable {
    /// The id of the batch.
    package var batch: Name
    /// The value of the key, or nil for requests without one.
    package var key: String?
    /// Where the key's previous cut ended.
    package var start: RequestPosition
    /// The position after the last request.
    package var end: RequestPosition
    /// How many requests there are, without repeats.
    package var count: Int
    /// The shared arguments.
    package var arguments: JSONValue

    package init(
        batch: Name,
        key: String?,
        start: RequestPosition,
        end: RequestPosition,
        count: Int,
        arguments: JSONValue
    ) {
        self.batch = batch
        self.key = key
        self.start = start
        self.end = end
        self.count = count
        self.arguments = arguments
    }

    var group: RequestGroup { RequestGroup(batch: batch, key: key, count: count, arguments: arguments) }
}

/// An entry of a dispatcher's log of decisions.
package enum DispatchEntry: Sendable, Equatable {
    /// A log accepts requests from now on, and those before it no longer do; `key` is the field that keeps them apart.
    case opened(log: Int, key: String?)
    /// Requests form a batch.
    case cut(Cut)
    /// The batch of a cut is confirmed.
    case dispatched(Name)
    /// Requests before a position are due.
    case flushed(RequestPosition)
    /// The logs up to this one are no longer needed.
    case deleted(log: Int)

    /// The largest entry in bytes.
    package static let maximumSize = 256 << 10

    /// Encodes the entry.
    package var message: Message {
        let type: String
        var body: OrderedDictionary<String, JSONValue> = [:]
        switch self {
        case .opened(let log, let key):
            type = "opened"
            body = ["log": .integer(log), "key": .optional(key)]
        case .cut(let cut):
            type = "cut"
            body = [
                "batch": .string(cut.batch.text), "key": .optional(cut.key), "start": cut.start.json,
                "end": cut.end.json, "count": .integer(cut.count), "arguments": cut.arguments,
            ]
        case .dispatched(let batch):
            type = "dispatched"
            body = ["batch": .string(batch.text)]
        case .flushed(let position):
            type = "flushed"
            body = ["position": position.json]
        case .deleted(let log):
            type = "deleted"
            body = ["log": .integer(log)]
        }
        return Message(type: type, contentType: "application/json", body: JSONValue.object(body).bytes)
    }

    /// Decodes an entry; returns nil if the message is not one.
    package init?(_ message: Message) {
        guard message.body.count <= Self.maximumSize, let body = try? JSON.parse(message.body) else { return nil }
        let log = body["log"]?.intValue.flatMap { (1...Int(Int32.max)).contains($0) ? $0 : nil }
        let batch = body["batch"]?.stringValue.flatMap { Name($0) }
        switch message.type {
        case "opened":
            guard let log else { return nil }
            self = .opened(log: log, key: body["key"]?.stringValue)
        case "cut":
            guard let batch, let start = RequestPosition(body["start"]), let end = RequestPosition(body["end"]),
                start < end, let count = body["count"]?.intValue, count > 0
            else { return nil }
            self = .cut(
                Cut(
                    batch: batch,
                    key: body["key"]?.stringValue,
                    start: start,
                    end: end,
                    count: count,
                    arguments: body["arguments"] ?? [:]
                )
            )
        case "dispatched":
            guard let batch else { return nil }
            self = .dispatched(batch)
        case "flushed":
            guard let position = RequestPosition(body["position"]) else { return nil }
            self = .flushed(position)
        case "deleted":
            guard let log else { return nil }
            self = .deleted(log: log)
        default: return nil
        }
    }
}

/// A request as a message in a log of requests.
enum RequestMessage {
    private static let type = "request"
    /// The type of the entry after which a log has no more requests.
    static let endType = "end"
    private static let timeHeader = "sheaf-at"

    static var end: Message { Message(type: endType) }

    static func encode(_ request: Record, at time: Timestamp) -> Message {
        Message(
            id: request.id,
            type: type,
            contentType: request.kind.contentType,
            headers: [Message.Header(timeHeader, .integer(time.milliseconds))],
            body: request.bytes
        )
    }

    /// Returns the request of an entry, whatever its type, so that nothing that a sender appends is lost.
    static func decode(_ entry: LogEntry, log: Int) -> Record {
        let message = entry.message
        return Record(
            id: message.id.isEmpty ? "\(log):\(entry.offset)" : message.id,
            kind: message.contentType.isEmpty ? .json : Record.Kind(contentType: message.contentType),
            bytes: message.body
        )
    }

    /// Returns when the sender has sent the message; nil if it does not say.
    static func time(of message: Message) -> Timestamp? {
        message.integer(timeHeader).map { Timestamp(milliseconds: Int64($0)) }
    }
}
