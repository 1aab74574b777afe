/// Whether a message survives a restart of the broker.
public struct AMQPDeliveryMode: RawRepresentable, Sendable, Hashable {
    /// The number on the wire.
    public var rawValue: UInt8

    /// Makes a mode from the number on the wire.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The message may be lost when the broker restarts.
    public static let transient = AMQPDeliveryMode(rawValue: 1)

    /// The message is written to disk by durable queues.
    public static let persistent = AMQPDeliveryMode(rawValue: 2)
}
