extension AMQPConnection {
    /// With so many deliveries on their way or here, it does not matter if the broker is told of some a moment later.
    private static let manyUnsettled = 256
    /// The part of them that is acknowledged together, and how long that is waited for.
    private static let (togetherShare, togetherPatience) = (2, Duration.milliseconds(20))

    /// Turns the acknowledgements of all channels into methods, as few as will do.
    ///
    /// Each frame costs a quorum queue an entry of its log, and each makes it send new deliveries. Where a channel has very
    /// many, acknowledgements gather for a moment; and those above a gap wait once more, since one frame is enough for all
    /// of them when the gap closes: tasks that run side by side end almost in order.
    func queueAcknowledgements(at now: ContinuousClock.Instant) {
        guard !self.acknowledging.isEmpty else { return }
        for channel in self.acknowledging { self.queueAcknowledgements(of: channel, at: now) }
        self.acknowledging.removeAll { $0.acknowledgements.isEmpty }
    }

    private func queueAcknowledgements(of channel: ChannelState, at now: ContinuousClock.Instant) {
        let span = channel.unsettled.span
        guard span >= Self.manyUnsettled else { return self.queueAcknowledgements(of: channel) }
        let by = channel.acknowledgeBy ?? now + Self.togetherPatience
        channel.acknowledgeBy = by
        let areMany = channel.hasNewAcknowledgements && channel.acknowledgements.count >= span / Self.togetherShare
        channel.hasNewAcknowledgements = false
        guard areMany || now >= by else { return }
        channel.acknowledgements.sort()
        if let covered = channel.unsettled.settleCovered(channel.acknowledgements) {
            channel.acknowledgements.removeFirst(covered.count)
            self.control.append((channel.number, .ack(covered.upTo, multiple: true)))
            channel.acknowledgeBy = channel.acknowledgements.isEmpty ? nil : now + Self.togetherPatience
        } else if now >= by {
            self.queueAcknowledgements(of: channel)
        }
    }

    /// Queues acknowledgements; those made between two looks at the socket go out together.
    func acknowledge(_ tags: [UInt64], on channel: AMQPChannel) throws(AMQPError) {
        let state = try self.claim(tags, on: channel)
        if state.acknowledgements.isEmpty { self.acknowledging.append(state) }
        state.acknowledgements += tags
        state.hasNewAcknowledgements = true
    }

    func acknowledge(upTo tag: UInt64, on channel: AMQPChannel) throws(AMQPError) {
        let state = try self.state(of: channel)
        self.queueAcknowledgements()
        if let highest = state.unsettled.settle(upTo: tag) { self.queue(.ack(highest, multiple: true), on: state) }
    }

    func reject(_ tags: [UInt64], requeue: Bool, on channel: AMQPChannel) throws(AMQPError) {
        let state = try self.claim(tags, on: channel)
        self.queueAcknowledgements()
        _ = state.unsettled.settle(tags)
        for tag in tags { self.queue(.reject(tag, requeue: requeue), on: state) }
    }

    func nack(_ tags: [UInt64], requeue: Bool, on channel: AMQPChannel) throws(AMQPError) {
        let state = try self.claim(tags, on: channel)
        self.queueAcknowledgements()
        let plan = state.unsettled.settle(tags)
        if let tag = plan.upTo { self.queue(.nack(tag, multiple: true, requeue: requeue), on: state) }
        for tag in plan.single { self.queue(.nack(tag, multiple: false, requeue: requeue), on: state) }
    }

    private func claim(_ tags: [UInt64], on channel: AMQPChannel) throws(AMQPError) -> ChannelState {
        let state = try self.state(of: channel)
        if let unknown = state.unsettled.claim(tags) {
            let what = "the delivery tag \(unknown) is not unsettled on channel \(channel.number)"
            throw AMQPError(.invalidArgument, what)
        }
        return state
    }
}
