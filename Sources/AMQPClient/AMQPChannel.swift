/// A channel of a connection: the place where queues are declared, messages published, delivered and settled.
///
/// The broker closes a channel when it refuses a call, for instance with 404 or 406. Everything pending on the channel
/// then fails with that reply code, later calls throw `channelClosed`, and the connection lives on. A call that the
/// broker does not answer in time throws `timedOut`, or `blocked` if the broker has said that it does not read for now;
/// if its late answer would hold messages, the channel is closed.
public struct AMQPChannel: Sendable {
    /// The connection it belongs to.
    public let connection: AMQPConnection
    /// Its number on the connection, used again once it is closed.
    public let number: UInt16
    /// Its identity, unique in the process.
    public let id: UInt64

    /// The epoch of its connection.
    public var epoch: UInt64 { self.connection.epoch }

    /// Whether a delivery came on this very channel, so that it can be settled here.
    public func delivered(_ delivery: AMQPDelivery) -> Bool { delivery.channelID == self.id }

    /// Closes the channel; what it delivered and was not settled goes back to its queues.
    ///
    /// Settlements made before are sent first. Closing a closed channel does nothing.
    public func close() async throws(AMQPError) {
        try await self.connection.close(self)
    }

    /// Closes the channel without awaiting the broker's answer: for one on which the broker may not answer.
    public func abandon() async {
        await self.connection.abandon(self)
    }
}
