/// The entries of a journal that still matter, in order, and the state that they lead to.
///
/// Replaying these entries leads to the same state as replaying the whole journal. The history omits entries that
/// changed nothing, counts of published tasks that a later entry replaced and that no publishing time comes from, and
/// all entries of a batch before its deletion. It keeps entries whose type this version does not know.
package struct JournalHistory: Sendable {
    private enum Kept: Sendable {
        case message(Message)
        case line(ArraySlice<UInt8>)

        /// The size of the body, without names and punctuation.
        var size: Int {
            switch self {
            case .message(let message): message.body.count
            case .line(let line): line.count
            }
        }
    }

    /// The state that the entries lead to.
    package private(set) var state = JournalState()
    /// The number of entries kept.
    package private(set) var count = 0
    /// The approximate size of the entries kept, in bytes.
    package private(set) var size = 0
    /// The entries in order; an entry that no longer matters is nil.
    private var kept: [Kept?] = []
    private var places: [Name: [Int]] = [:]
    private var published: [Name: Published] = [:]

    /// Where the counts of published tasks of a batch are.
    private struct Published {
        /// Those that its publishing times come from.
        var points: [Int] = []
        /// Those after them that have the newest count, in order.
        var newest: [Int] = []
    }

    package init() {}

    /// Adds the next message of the journal; a message that is not an entry changes nothing.
    package mutating func add(_ message: Message) {
        if let entry = JournalEntry(message) {
            add(entry, .message(message))
        } else if let bytes = JournalLine.bytes(of: message) {
            _ = add(line: bytes[...])
        }
    }

    /// Adds the next line of a checkpoint; returns false if the line is invalid.
    fileprivate mutating func add(line bytes: ArraySlice<UInt8>) -> Bool {
        guard let line = JournalLine(bytes) else { return false }
        if let entry = line.entry { add(entry, .line(bytes)) } else { keep(.line(bytes), of: line.batch) }
        return true
    }

    /// The entries as the lines of a checkpoint.
    fileprivate var lines: [UInt8] {
        var bytes: [UInt8] = []
        for case .some(let entry) in kept {
            switch entry {
            case .message(let message): bytes += JournalLine.bytes(of: message) ?? []
            case .line(let line): bytes += line
            }
            bytes.append(UInt8(ascii: "\n"))
        }
        return bytes
    }

    private mutating func add(_ entry: JournalEntry, _ new: Kept) {
        let before = state[entry.batch].map { ($0.published, $0.publishingTimes.count) } ?? (0, 0)
        guard state.apply(entry) else { return }
        switch entry.event {
        case .deleted:
            for place in places.removeValue(forKey: entry.batch) ?? [] { drop(place) }
            published[entry.batch] = nil
        case .published:
            // The entry changed the state: its count is higher, or equal with a different digest.
            var places = published[entry.batch] ?? Published()
            let after = state[entry.batch].map { ($0.published, $0.publishingTimes.count) } ?? before
            // Without an entry of the same count, a point would be made of this one.
            if after.0 > before.0 || state[entry.batch]?.sealedTotal != nil {
                for place in places.newest { drop(place) }
                places.newest = []
            }
            if after.1 > before.1 { places.points.append(kept.count) } else { places.newest.append(kept.count) }
            published[entry.batch] = places
        case .sealed:
            // The last of them has the count and the digest.
            let places = published[entry.batch].map { $0.points + $0.newest } ?? []
            for place in places.dropLast() { drop(place) }
            published[entry.batch] = Published(newest: places.suffix(1))
        default: break
        }
        keep(new, of: entry.batch)
    }

    private mutating func keep(_ entry: Kept, of batch: Name) {
        places[batch, default: []].append(kept.count)
        kept.append(entry)
        count += 1
        size += entry.size
    }

    private mutating func drop(_ place: Int) {
        guard let entry = kept[place] else { return }
        kept[place] = nil
        count -= 1
        size -= entry.size
    }
}

/// The content of a journal up to an offset, so that later readers need not read the journal from its start.
package struct JournalCheckpoint: Sendable {
    /// The message type of checkpoints.
    ///
    /// A version that adds content to entries must use another type, since this version may omit entries that matter
    /// then.
    static let type = "journal"

    /// The maximum size of a checkpoint's body in bytes; a journal with more content is read from its start.
    package static let maximumSize = 8 << 20

    /// The offset of the first journal entry after the checkpoint.
    package let nextOffset: Int64
    /// The history up to that offset.
    package let history: JournalHistory

    /// Creates the checkpoint of a journal that was read up to an offset.
    package init(nextOffset: Int64, history: JournalHistory) {
        self.nextOffset = nextOffset
        self.history = history
    }

    /// Encodes the checkpoint with one entry per line, as JSON.
    package var message: Message {
        Message(
            type: Self.type,
            contentType: "application/jsonl",
            headers: [.init("sheaf-next-offset", .integer(nextOffset))],
            body: history.lines
        )
    }

    /// Decodes a checkpoint; returns nil if any line is invalid, so that no entry is lost.
    package init?(_ message: Message) {
        guard message.type == Self.type, let next = message.integer("sheaf-next-offset"), next >= 0,
            message.body.count <= Self.maximumSize
        else { return nil }
        var history = JournalHistory()
        for line in message.body.split(separator: UInt8(ascii: "\n")) {
            guard history.add(line: line) else { return nil }
        }
        self.init(nextOffset: Int64(next), history: history)
    }
}

/// A journal entry in a checkpoint: an object with `type`, `batch`, `flow` and `body`.
private struct JournalLine {
    let batch: Name
    /// The entry, or nil if this version does not know its type.
    let entry: JournalEntry?

    init?(_ line: ArraySlice<UInt8>) {
        guard let value = try? JSON.parse(Array(line)), let type = value["type"]?.stringValue,
            let batch = value["batch"]?.stringValue.flatMap({ Name($0) }),
            let flow = value["flow"]?.stringValue.flatMap({ Name($0) }), let body = value["body"]
        else { return nil }
        self.batch = batch
        self.entry = JournalEntry(batch: batch, flow: flow, type: type, body: body)
    }

    /// Encodes a message as a line without the line feed; returns nil if the message cannot be an entry of any version.
    static func bytes(of message: Message) -> [UInt8]? {
        guard let batch = message.string("sheaf-batch"), Name(batch) != nil, let flow = message.string("sheaf-flow"),
            Name(flow) != nil, message.body.count <= JournalEntry.maximumSize, let body = try? JSON.parse(message.body)
        else { return nil }
        let line: JSONValue = [
            "type": .string(message.type), "batch": .string(batch), "flow": .string(flow), "body": body,
        ]
        return line.bytes
    }
}
