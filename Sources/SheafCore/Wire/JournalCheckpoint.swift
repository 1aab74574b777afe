/// All that a journal said up to an offset, so that who comes later need not read it from its beginning.
public struct JournalCheckpoint: Sendable {
    /// The type of its message; a version whose entries say more takes another, since this one may leave out what matters to
    /// that.
    static let type = "journal"

    /// The largest body of a checkpoint, in bytes; a journal that says more is read from its beginning.
    public static let maximumSize = 8 << 20

    /// Where the journal goes on behind it.
    public let nextOffset: Int64
    /// What it said.
    public let history: JournalHistory

    /// Makes the checkpoint of a journal that was read up to an offset.
    public init(nextOffset: Int64, history: JournalHistory) {
        self.nextOffset = nextOffset
        self.history = history
    }

    /// The checkpoint as a message: its entries as JSON, one on each line.
    public var message: Message {
        Message(
            type: Self.type,
            contentType: "application/jsonl",
            headers: [.init("sheaf-next-offset", .integer(nextOffset))],
            body: history.lines
        )
    }

    /// Reads a checkpoint; nil where a line of it can not be read, so that nothing is left out.
    public init?(_ message: Message) {
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
