public import SheafCore

/// The name and the size of a log.
public struct LogDeclaration: Sendable, Equatable {
    /// The name, at most 233 bytes.
    public var name: String
    /// The size in bytes above which the oldest entries may be removed, or nil to keep everything.
    ///
    /// The newest entry always stays.
    public var maximumBytes: Int?

    /// Creates a declaration.
    public init(name: String, maximumBytes: Int? = nil) {
        self.name = name
        self.maximumBytes = maximumBytes
    }
}

/// The position at which reading a log begins.
public enum LogPosition: Sendable, Equatable {
    /// The oldest entry.
    case first
    /// The entry with this offset, or the next entry if that one was trimmed or never existed.
    case offset(Int64)
    /// The newest entry or somewhat before it; in an empty log, the first entry to come.
    case last
    /// The first entry appended after the call has returned.
    case next
    /// The first entry that is at most this old, or somewhat before it.
    case since(Duration)
}

/// An entry of a log.
public struct LogEntry: Sendable, Equatable {
    /// The position: later entries have larger offsets, possibly with gaps.
    public let offset: Int64
    /// The appended message.
    public let message: Message
    /// When the message was appended, or nil if the broker does not report it.
    public let time: Timestamp?

    /// Creates an entry.
    public init(offset: Int64, message: Message, time: Timestamp? = nil) {
        self.offset = offset
        self.message = message
        self.time = time
    }
}

/// Consecutive entries of a log and the offset at which reading continues.
public struct LogChunk: Sendable, Equatable {
    /// The entries, oldest first; empty if only marks were passed.
    public let entries: [LogEntry]
    /// The offset after the last entry, or after the last mark that follows it.
    ///
    /// Once it reaches an earlier result of ``Broker/endOffset(of:)``, all entries confirmed before that call were
    /// returned.
    public let nextOffset: Int64
    /// The offset of the first entry, or of the first mark before it.
    ///
    /// If it exceeds the requested offset by more than one, entries were trimmed.
    public let startOffset: Int64

    /// Creates a chunk.
    public init(entries: [LogEntry], nextOffset: Int64, startOffset: Int64? = nil) {
        self.entries = entries
        self.nextOffset = nextOffset
        self.startOffset = startOffset ?? entries.first?.offset ?? nextOffset
    }
}

/// A position in a log that advances as entries are read, used by one task at a time.
public protocol LogReader: Sendable {
    /// Returns the entries that have arrived, oldest first, or waits for the next; returns nil after ``cancel()``.
    ///
    /// The first chunk may be empty: it reports where reading begins.
    /// - Throws: `queueGone` if the log was deleted, `connectionLost` if reading ended for any other reason, and
    ///   `CancellationError`.
    func next() async throws -> LogChunk?
    /// Ends the reading.
    func cancel() async
}

extension Message {
    /// The type of entries that only mark a position in a log; see ``Broker/endOffset(of:)``.
    public static let markType = "mark"
}
