extension AMQPConnection {
    /// How many messages are written before the socket is read again.
    private static let messagesPerTurn = 512
    /// What a method is counted as; one with a table may be larger.
    private static let methodSize = 2_048
    private static let largestWrite = 65_536

    /// Whether something waits for the socket to take more.
    var wantsToWrite: Bool {
        self.partialBody != nil || !self.control.isEmpty || (self.blockedReason == nil && !self.outbox.isEmpty)
    }

    /// Queues a method.
    ///
    /// Acknowledgements made before it go first, so that the order of calls is the order on the wire.
    func queue(_ method: OutboundMethod, on channel: ChannelState) {
        self.queueAcknowledgements(of: channel)
        self.control.append((channel.number, method))
    }

    /// Turns the acknowledgements of all channels into methods, whatever gaps there are.
    func queueAcknowledgements() {
        for channel in self.acknowledging { self.queueAcknowledgements(of: channel) }
        self.acknowledging.removeAll(keepingCapacity: true)
    }

    /// Turns the acknowledgements of a channel into methods.
    func queueAcknowledgements(of channel: ChannelState) {
        guard !channel.acknowledgements.isEmpty else { return }
        let plan = channel.unsettled.settle(channel.acknowledgements)
        channel.acknowledgements.removeAll(keepingCapacity: true)
        channel.acknowledgeBy = nil
        if let tag = plan.upTo { self.control.append((channel.number, .ack(tag, multiple: true))) }
        for tag in plan.single { self.control.append((channel.number, .ack(tag, multiple: false))) }
    }

    /// Writes as much as the socket takes: a body that was begun, then methods, then messages.
    func write(_ library: LibraryHandle, isWritable: Bool) throws(AMQPError) {
        guard isWritable, self.wantsToWrite else { return }
        // Else each message is a packet of its own, and each packet wakes the broker.
        let hasMessages = !self.outbox.isEmpty
        if hasMessages { library.setCorked(true) }
        defer { if hasMessages { library.setCorked(false) } }
        self.budget.refill(spending: 0)
        var messages = Self.messagesPerTurn
        while true {
            if let body = self.partialBody {
                guard self.mayWrite(library.bodyFrameSize, library) else { return }
                try self.continueBody(body, library)
            } else if let next = self.control.first {
                guard self.mayWrite(next.method.isSmall ? Self.methodSize : Self.largestWrite, library) else { return }
                _ = self.control.popFirst()
                try library.send(next.method, on: next.channel)
            } else if self.blockedReason == nil, messages > 0, let call = self.nextCallToWrite() {
                guard try self.writeMessage(of: call, library) else { return }
                messages -= 1
            } else {
                return
            }
        }
    }

    private func mayWrite(_ size: Int, _ library: LibraryHandle) -> Bool {
        if self.budget.take(size) { return true }
        guard library.isWritable() else { return false }
        self.budget.refill(spending: size)
        return true
    }

    private func continueBody(_ partial: PartialBody, _ library: LibraryHandle) throws(AMQPError) {
        let end = try library.sendBody(partial.body, from: partial.offset, on: partial.channel.number)
        self.partialBody?.offset = end
        if end == partial.body.count { self.partialBody = nil }
    }

    private func nextCallToWrite() -> PublishCall? {
        while let call = self.outbox.first {
            if call.hasNext { return call }
            _ = self.outbox.popFirst()
        }
        return nil
    }

    /// Writes the next message of a call, or only begins it; returns false if the socket takes no more.
    private func writeMessage(of call: PublishCall, _ library: LibraryHandle) throws(AMQPError) -> Bool {
        guard let message = call.next else { return true }
        let mustSplit = library.mustSplit(message.body)
        let size = message.roughSize - (mustSplit ? message.body.count : 0)
        guard self.mayWrite(min(size, Self.largestWrite), library) else { return false }
        call.sent(as: call.channel.confirms.record(call))
        if mustSplit {
            try library.beginPublish(message, on: call.channel.number, mandatory: call.isMandatory)
            self.partialBody = PartialBody(channel: call.channel, body: message.body)
        } else {
            try library.publish(message, on: call.channel.number, mandatory: call.isMandatory)
        }
        return true
    }
}

extension OutboundMethod {
    /// Whether the method has no table, and so at most a few short texts.
    fileprivate var isSmall: Bool {
        switch self {
        case .queueDeclare, .queueBind, .queueUnbind, .exchangeDeclare, .consume: false
        default: true
        }
    }
}

extension AMQPMessage {
    /// What the message takes on the wire at most, all frames together.
    fileprivate var roughSize: Int {
        let properties = (try? self.properties.encodedSize()) ?? 0
        return 64 + properties + self.exchange.utf8.count + self.routingKey.utf8.count + self.body.count
    }
}
