package import SheafCore

/// How a request queue in Redis works.
public struct RedisRequestQueueConfiguration: Sendable {
    /// How Redis stores the requests.
    public enum Kind: String, Sendable, CaseIterable {
        /// A list, to which senders append with `RPUSH`.
        case list
        /// A stream, to which senders append with `XADD`, and a consumer group of it.
        case stream
    }

    /// How Redis stores the requests.
    public var kind: Kind
    /// The name of the list or stream; nil means the name of the dispatcher.
    public var queueKey: String?
    /// The field of requests that keeps them apart, such as a tenant or a model; nil means that all may share a batch.
    public var key: String?
    /// How many requests may wait; nil means any number.
    public var maxWaiting: Int?
    /// How many of the newest ids are known, in order to drop repeats.
    package var window = 100_000
    /// How long the lock of the process that decides outlives it.
    package var lockTime = Duration.seconds(5)
    /// How long another consumer of the group may hold an entry before it is taken over.
    package var idleTime = Duration.seconds(60)
    /// The clock of this process; nil means the system's, and that the server gives entries of a stream their times.
    package var clock: (@Sendable () -> Timestamp)?

    /// Creates a configuration.
    public init(kind: Kind = .list, queueKey: String? = nil, key: String? = nil, maxWaiting: Int? = nil) {
        self.kind = kind
        self.queueKey = queueKey
        self.key = key
        self.maxWaiting = maxWaiting
    }
}
