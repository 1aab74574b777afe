public import SheafCore

/// What a log is to be.
public struct LogDeclaration: Sendable, Equatable {
    /// The name, at most 233 bytes.
    public var name: String
    /// The size in bytes above which the oldest entries may go, or nil to keep everything.
    ///
    /// The newest entry always stays.
    public var maximumBytes: Int?

    /// Makes a declaration.
    public init(name: String, maximumBytes: Int? = nil) {
        self.name = name
        self.maximumBytes = maximumBytes
    }
}

/// Where reading a log begins.
public enum LogPosition: Sendable, Equatable {
    /// With the oldest entry there is.
    case first
    /// With this offset, or the next one where it was trimmed or never existed.
    case offset(Int64)
    /// At the newest entry or somewhat before it; with an empty log, with the first to come.
    case last
    /// With the first entry appended after the call has returned.
    case next
    /// With the first entry not older than this duration, or somewhat before it.
    case since(Duration)
}

/// An entry of a log.
public struct LogEntry: Sendable, Equatable {
    /// Its place: entries appended later have larger ones; there may be gaps.
    public let offset: Int64
    /// What was appended.
    public let message: Message
    /// When it was appended; nil where the broker does not tell.
    public let time: Timestamp?

    /// Makes an entry.
    public init(offset: Int64, message: Message, time: Timestamp? = nil) {
        self.offset = offset
        self.message = message
        self.time = time
    }
}

/// Some entries of a log that follow each other, and where reading goes on.
public struct LogChunk: Sendable, Equatable {
    /// The entries, oldest first; empty where only marks were passed.
    public let entries: [LogEntry]
    /// The offset behind the last entry, or behind the last mark passed after it.
    ///
    /// Once this has reached ``Broker/endOffset(of:)`` of an earlier moment, all entries confirmed before it were handed out.
    public let nextOffset: Int64
    /// The offset of the first entry, or of the first mark passed before it.
    ///
    /// Where this is beyond the place that was asked for by more than one, somebody has trimmed the log.
    public let startOffset: Int64

    /// Makes a chunk.
    public init(entries: [LogEntry], nextOffset: Int64, startOffset: Int64? = nil) {
        self.entries = entries
        self.nextOffset = nextOffset
        self.startOffset = startOffset ?? entries.first?.offset ?? nextOffset
    }
}
