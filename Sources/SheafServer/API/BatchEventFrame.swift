import NIOCore
import SheafBatches
import SheafCore
import Synchronization

/// The state of a batch at one time, as a server-sent event.
struct BatchEventFrame: Sendable {
    let batch: Name
    /// The state; nil if the batch was deleted.
    let summary: BatchSummary?
    /// The round of changes that the event belongs to.
    let revision: Int
    /// When the batch was created, for the order of events.
    let created: Timestamp
    private let serialised: Once<(bytes: ByteBuffer, digest: String)>

    init(of summary: BatchSummary, revision: Int) {
        (batch, self.summary, self.revision, created) = (summary.info.id, summary, revision, summary.info.createdAt)
        let now = Timestamp.now
        serialised = Once {
            let json = summary.json
            let digest = EntityTag(json.bytes).digest
            return (Self.event("batch", BatchEventID(at: now, digest: digest), json), digest)
        }
    }

    init(deletionOf batch: Name, revision: Int) {
        (self.batch, summary, self.revision, created) = (batch, nil, revision, .now)
        let id = BatchEventID(at: created, digest: "deleted")
        serialised = Once { (Self.event("deleted", id, ["batch_id": .string(batch.text)]), id.digest) }
    }

    /// The event as it is sent.
    var bytes: ByteBuffer { serialised.value.bytes }
    /// A digest of the state, equal on every server.
    var digest: String { serialised.value.digest }
    /// Whether nothing more happens to the batch unless a user acts.
    var isLast: Bool { summary.map { $0.info.ending != nil || $0.info.stopped != nil } ?? true }

    private static func event(_ name: String, _ id: BatchEventID, _ json: JSONValue) -> ByteBuffer {
        ByteBuffer(string: "event: \(name)\nid: \(id)\ndata: \(json.text)\n\n")
    }
}

/// The id of an event: a client that reconnects, to any server, repeats it in `Last-Event-ID`.
struct BatchEventID: CustomStringConvertible {
    /// When the server noticed the change.
    let at: Timestamp
    /// The digest of the state.
    let digest: String

    init(at time: Timestamp, digest: String) { (at, self.digest) = (time, digest) }

    /// Parses ``description``; returns nil for anything else.
    init?(_ text: String) {
        let parts = text.split(separator: "-", maxSplits: 1)
        guard parts.count == 2, let time = Int64(parts[0]) else { return nil }
        (at, digest) = (Timestamp(milliseconds: time), String(parts[1]))
    }

    var description: String { "\(at.milliseconds)-\(digest)" }
}

/// A value that is made when it is first needed, once for all who need it.
final class Once<Value: Sendable>: Sendable {
    private let made = Mutex<Value?>(nil)
    private let make: @Sendable () -> Value

    init(_ make: @escaping @Sendable () -> Value) { self.make = make }

    var value: Value {
        made.withLock { made in
            let value = made ?? make()
            made = value
            return value
        }
    }
}
