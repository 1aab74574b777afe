extension AMQPConnection {
    /// Queues acknowledgements; those made between two looks at the socket go out together.
    func acknowledge(_ tags: [UInt64], on channel: AMQPChannel) throws(AMQPError) {
        let state = try self.claim(tags, on: channel)
        if state.acknowledgements.isEmpty { self.acknowledging.append(state) }
        state.acknowledgements += tags
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
