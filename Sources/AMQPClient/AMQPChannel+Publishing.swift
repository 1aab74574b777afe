extension AMQPChannel {
    /// Makes the broker confirm what is published on this channel; needed once before `publish`.
    public func enableConfirms() async throws(AMQPError) {
        _ = try await self.connection.call(.enableConfirms, on: self)
    }

    /// Publishes messages in their order and returns when the broker has confirmed them all.
    ///
    /// Many calls may be outstanding at once; each takes one wait however many messages it has. A mandatory message
    /// should have a `messageID` of its own, which is what tells two returned messages to the same queue apart.
    ///
    /// - Parameters:
    ///   - messages: The messages; all are checked before the first is sent.
    ///   - mandatory: Whether a message that no queue takes is an error.
    /// - Throws: `invalidArgument` (nothing was sent), `returned` or `nacked` (see `failedMessages`), `blocked` or
    ///   `timedOut` (after the configured time-out; what was sent has an unknown outcome), `channelClosed`,
    ///   `connectionLost`, `closed` or `cancelled`.
    public func publish(_ messages: [AMQPMessage], mandatory: Bool = false) async throws(AMQPError) {
        try await self.connection.publish(messages, mandatory: mandatory, on: self)
    }
}
