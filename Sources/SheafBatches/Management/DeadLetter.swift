import SheafBroker
public import SheafCore

/// A message that was given up: one that nobody could read, or a task that took its workers down again and again.
public struct DeadLetter: Sendable, Equatable {
    /// Its place in the log of dead letters, which names it.
    public var offset: Int64
    /// When it came there, or was first seen there where the broker's log tells no times; nil where nobody knows.
    public var at: Timestamp?
    /// The broker's word for why it died, such as `rejected` or `delivery_limit`; empty where nothing says so.
    public var reason: String
    /// The queue it died in first; empty where nothing says so.
    public var queue: String
    /// The message's type; `task` where it is one, or should be.
    public var type: String
    /// The task, where it can be read as one.
    public var task: String?
    /// The size of the body in bytes.
    public var size: Int
    /// The beginning of the body.
    public var preview: [UInt8]

    /// How much of a body is kept for ``preview``, in bytes.
    public static let previewSize = 200

    init(_ entry: LogEntry) {
        let message = entry.message
        offset = entry.offset
        at = entry.time
        reason = message.string(DeathHeaders.reason) ?? ""
        queue = message.string(DeathHeaders.queue) ?? ""
        type = message.type
        task = (try? BatchTask(message))?.id
        size = message.body.count
        preview = Array(message.body.prefix(Self.previewSize))
    }
}

/// What became of a dead letter that was to go back to its queue.
public struct RequeuedLetter: Sendable, Equatable {
    /// Its place in the log of dead letters.
    public var offset: Int64
    /// The queue it died in first.
    public var queue: String
    /// Why it did not go back, for people; nil where it did.
    public var refusal: String?
}
