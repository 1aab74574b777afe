/// What the broker says about a queue when it is declared.
public struct AMQPQueueStatus: Sendable, Hashable {
    /// The name, which the broker chose if none was given.
    public let name: String
    /// The number of ready messages, not counting those out with consumers.
    public let messageCount: Int
    /// The number of consumers.
    public let consumerCount: Int
}
