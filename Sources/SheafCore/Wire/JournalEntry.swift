import OrderedCollections

/// Something that happened to a batch as a whole.
public struct JournalEntry: Sendable, Equatable {
    /// What happened.
    public enum Event: Sendable, Equatable {
        /// A creator began; `nonce` tells it from others that chose the same id, `input` says how to read the records again.
        case created(options: BatchOptions, source: String, nonce: String, input: JSONValue = .null)
        /// So many tasks are confirmed in the queue; a digest of their records, where one was kept from the first on.
        case published(count: Int, digest: String? = nil)
        /// All tasks are in the queue.
        case sealed(total: Int)
        /// The error policy, or a fatal error, halted the batch.
        case stopped(reason: String)
        /// Somebody cancelled it; `now` ends running tasks too.
        case cancelled(now: Bool)
        /// Somebody halted it for now.
        case paused
        /// It goes on after `paused` or `stopped`; its error policy forgets as many failures as there were.
        case resumed(tolerated: Int)
        /// So many tasks run again as a later generation, those of the `reopened` entries of this nonce in the results log.
        case retried(generation: Int, nonce: String, count: Int, tolerated: Int)
        /// So many of its tasks may run at once from now on; nil means no limit.
        case changed(maxRunning: Int?)
        /// Its queues and logs are gone, and so is all that was known of it.
        case deleted
        /// Nothing more will happen: outcomes at or behind the end offset of the results log do not count.
        case finished(
            generation: Int,
            endOffset: Int64,
            counts: BatchCounts,
            startedAt: Timestamp?,
            usage: Usage = Usage()
        )

        /// The word that names the event on the wire.
        public var type: String {
            switch self {
            case .created: "created"
            case .published: "published"
            case .sealed: "sealed"
            case .stopped: "stopped"
            case .cancelled: "cancelled"
            case .paused: "paused"
            case .resumed: "resumed"
            case .retried: "retried"
            case .changed: "changed"
            case .deleted: "deleted"
            case .finished: "finished"
            }
        }
    }

    /// The largest body of an entry, in bytes; every process keeps what entries say, so larger ones are not read.
    public static let maximumSize = 1 << 20

    /// The batch.
    public var batch: Name
    /// Its flow.
    public var flow: Name
    /// When it happened, by the clock of whoever wrote it.
    public var at: Timestamp
    /// What happened.
    public var event: Event

    /// Makes an entry.
    public init(batch: Name, flow: Name, at: Timestamp, event: Event) {
        self.batch = batch
        self.flow = flow
        self.at = at
        self.event = event
    }

    /// The entry as a message.
    public var message: Message {
        var body: JSONValue = ["at": .string(at.description)]
        func add(_ more: JSONValue) {
            guard case .object(var fields) = body, case .object(let added) = more else { return }
            fields.merge(added, uniquingKeysWith: { $1 })
            body = .object(fields)
        }
        switch event {
        case .created(let options, let source, let nonce, let input):
            add(["options": options.json, "source": .string(source), "nonce": .string(nonce)])
            if input != .null { add(["input": input]) }
        case .published(let count, let digest):
            add(["count": .integer(count)])
            if let digest { add(["digest": .string(digest)]) }
        case .sealed(let total): add(["total": .integer(total)])
        case .stopped(let reason): add(["reason": .string(reason)])
        case .cancelled(let now): add(["now": .bool(now)])
        case .paused, .deleted: break
        case .resumed(let tolerated): add(["tolerated": .integer(tolerated)])
        case .retried(let generation, let nonce, let count, let tolerated):
            add([
                "generation": .integer(generation), "nonce": .string(nonce), "count": .integer(count),
                "tolerated": .integer(tolerated),
            ])
        case .changed(let maxRunning): add(["max_running": maxRunning.map { .integer($0) } ?? .null])
        case .finished(let generation, let endOffset, let counts, let startedAt, let usage):
            add([
                "generation": .integer(generation), "end_offset": .integer(endOffset), "counts": counts.json,
                "started_at": .optional(startedAt?.description),
            ])
            if !usage.isEmpty { add(["usage": usage.json]) }
        }
        return Message(
            type: event.type,
            contentType: "application/json",
            headers: [.init("sheaf-batch", .string(batch.text)), .init("sheaf-flow", .string(flow.text))],
            body: body.bytes
        )
    }

    /// Reads an entry; nil where the message is of a type this version does not know, or can not be read.
    public init?(_ message: Message) {
        guard let batch = message.string("sheaf-batch").flatMap({ Name($0) }),
            let flow = message.string("sheaf-flow").flatMap({ Name($0) }), message.body.count <= Self.maximumSize,
            let body = try? JSON.parse(message.body)
        else { return nil }
        self.init(batch: batch, flow: flow, type: message.type, body: body)
    }

    /// Reads an entry from its parts; nil where this version does not know the type, or can not read the body.
    init?(batch: Name, flow: Name, type: String, body: JSONValue) {
        guard let event = Self.event(type, body) else { return nil }
        let at = body["at"]?.stringValue.flatMap { Timestamp($0) } ?? Timestamp(milliseconds: 0)
        self.init(batch: batch, flow: flow, at: at, event: event)
    }

    private static func event(_ type: String, _ body: JSONValue) -> Event? {
        func count(_ name: String) -> Int? {
            body[name]?.intValue.flatMap { (0...BatchState.maximumTasks).contains($0) ? $0 : nil }
        }
        switch type {
        case "created":
            return .created(
                options: BatchOptions(json: body["options"] ?? [:]),
                source: body["source"]?.stringValue ?? "",
                nonce: body["nonce"]?.stringValue ?? "",
                input: body["input"] ?? .null
            )
        case "published": return count("count").map { .published(count: $0, digest: body["digest"]?.stringValue) }
        case "sealed": return count("total").map { .sealed(total: $0) }
        case "stopped": return .stopped(reason: body["reason"]?.stringValue ?? "")
        case "cancelled": return .cancelled(now: body["now"]?.boolValue ?? false)
        case "paused": return .paused
        case "resumed": return .resumed(tolerated: count("tolerated") ?? 0)
        case "retried":
            guard let generation = count("generation"), generation > 0, let nonce = body["nonce"]?.stringValue else {
                return nil
            }
            return .retried(
                generation: generation,
                nonce: nonce,
                count: count("count") ?? 0,
                tolerated: count("tolerated") ?? 0
            )
        case "changed":
            guard let limit = body["max_running"] else { return nil }
            if limit == .null { return .changed(maxRunning: nil) }
            return limit.intValue.flatMap { $0 > 0 ? .changed(maxRunning: $0) : nil }
        case "deleted": return .deleted
        case "finished":
            guard let counts = body["counts"], let end = body["end_offset"]?.intValue else { return nil }
            return .finished(
                generation: body["generation"]?.intValue ?? 0,
                endOffset: Int64(end),
                counts: BatchCounts(json: counts),
                startedAt: body["started_at"]?.stringValue.flatMap { Timestamp($0) },
                usage: Usage(json: body["usage"])
            )
        default: return nil
        }
    }
}
