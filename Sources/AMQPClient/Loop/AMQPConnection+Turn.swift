extension AMQPConnection {
    /// The maximum number of frames read before the jobs of the actor run again.
    private static let framesPerTurn = 256

    /// Writes queued data, reads arrived frames, and returns what to wait for.
    func turn() -> TurnPlan {
        if case .connecting = phase { return TurnPlan() }
        guard let library = self.library else { return TurnPlan(isFinished: true) }
        do throws(AMQPError) {
            let now = ContinuousClock.now
            queueAcknowledgements(at: now)
            let ready = library.pollSocket()
            try write(library, isWritable: ready.isWritable)
            if ready.isReadable || library.hasBufferedInput || now >= nextTick {
                try read(library)
                nextTick = now + configuration.heartbeat / 2
            }
            resumeConsumers()
            try checkDeadlines(now)
            return plan(library, now)
        } catch {
            finish(error)
            return TurnPlan(isFinished: true)
        }
    }

    private func plan(_ library: LibraryHandle, _ now: ContinuousClock.Instant) -> TurnPlan {
        // A frame may have ended the connection.
        guard self.library != nil else { return TurnPlan(isFinished: true) }
        var plan = TurnPlan(socket: library.socket, wantsToWrite: wantsToWrite)
        let wake = min(nextTick, nextDeadline ?? nextTick)
        plan.wait = library.hasBufferedInput ? .zero : max(.milliseconds(1), wake - now)
        return plan
    }

    private func read(_ library: LibraryHandle) throws(AMQPError) {
        for _ in 0..<Self.framesPerTurn {
            guard let frame = try library.receive() else { return }
            try receive(frame, library)
            guard self.library != nil, library.hasBufferedInput else { return }
        }
    }

    private func resumeConsumers() {
        for consumer in touchedConsumers { consumer.resumeWaiter() }
        touchedConsumers.removeAll(keepingCapacity: true)
    }

    private var nextDeadline: ContinuousClock.Instant? {
        var deadlines = channels.all.compactMap(\.nextDeadline)
        deadlines += acknowledging.compactMap(\.acknowledgeBy)
        if let call = publishCalls.first { deadlines.append(call.deadline) }
        if case .closing(let deadline) = phase { deadlines.append(deadline) }
        return deadlines.min()
    }

    private func checkDeadlines(_ now: ContinuousClock.Instant) throws(AMQPError) {
        if case .closing(let deadline) = phase, now >= deadline {
            finish(nil)
            return
        }
        while let call = publishCalls.first, call.isDone || now >= call.deadline {
            _ = publishCalls.popFirst()
            if !call.isDone { finish(call, publishTimeoutError) }
        }
        for channel in channels.all { expireCalls(of: channel, now) }
    }

    private var publishTimeoutError: AMQPError {
        let limit = configuration.publishTimeout
        return blockedError ?? AMQPError(.timedOut, "the broker did not confirm within \(limit)")
    }
}

extension AMQPConnection {
    /// The maximum number of messages written before the socket is read again.
    private static let messagesPerTurn = 512
    /// The assumed size of a method in bytes; one with a table may be larger.
    private static let methodSize = 2_048
    private static let largestWrite = 65_536

    /// Whether data is waiting for the socket to become writable.
    var wantsToWrite: Bool {
        partialBody != nil || !control.isEmpty || (blockedReason == nil && !outbox.isEmpty)
    }

    /// Queues a method.
    ///
    /// Earlier acknowledgements are queued first, so that the order of calls is the order on the wire.
    func queue(_ method: OutboundMethod, on channel: ChannelState) {
        queueAcknowledgements(of: channel)
        control.append((channel.number, method))
    }

    /// Writes as much as the socket accepts: the rest of a body, then methods, then messages.
    func write(_ library: LibraryHandle, isWritable: Bool) throws(AMQPError) {
        guard isWritable, wantsToWrite else { return }
        // Otherwise each message is a separate packet, and each packet wakes the broker.
        let hasMessages = !outbox.isEmpty
        if hasMessages { library.setCorked(true) }
        defer { if hasMessages { library.setCorked(false) } }
        budget.refill(spending: 0)
        var messages = Self.messagesPerTurn
        while true {
            if let body = partialBody {
                guard mayWrite(library.bodyFrameSize, library) else { return }
                try continueBody(body, library)
            } else if let next = control.first {
                guard mayWrite(next.method.isSmall ? Self.methodSize : Self.largestWrite, library) else { return }
                _ = control.popFirst()
                try library.send(next.method, on: next.channel)
            } else if blockedReason == nil, messages > 0, let call = nextCallToWrite() {
                guard try writeMessage(of: call, library) else { return }
                messages -= 1
            } else {
                return
            }
        }
    }

    private func mayWrite(_ size: Int, _ library: LibraryHandle) -> Bool {
        if budget.take(size) { return true }
        guard library.isWritable() else { return false }
        budget.refill(spending: size)
        return true
    }

    private func continueBody(_ partial: PartialBody, _ library: LibraryHandle) throws(AMQPError) {
        let end = try library.sendBody(partial.body, from: partial.offset, on: partial.channel.number)
        partialBody?.offset = end
        if end == partial.body.count { partialBody = nil }
    }

    private func nextCallToWrite() -> PublishCall? {
        while let call = outbox.first {
            if call.hasNext { return call }
            _ = outbox.popFirst()
        }
        return nil
    }

    /// Writes or begins the next message of a call; returns false if the socket accepts no more data.
    private func writeMessage(of call: PublishCall, _ library: LibraryHandle) throws(AMQPError) -> Bool {
        guard let message = call.next else { return true }
        let mustSplit = library.mustSplit(message.body)
        let size = message.roughSize - (mustSplit ? message.body.count : 0)
        guard mayWrite(min(size, Self.largestWrite), library) else { return false }
        call.sent(as: call.channel.confirms.record(call))
        if mustSplit {
            try library.beginPublish(message, on: call.channel.number, mandatory: call.isMandatory)
            partialBody = PartialBody(channel: call.channel, body: message.body)
        } else {
            try library.publish(message, on: call.channel.number, mandatory: call.isMandatory)
        }
        return true
    }
}

extension OutboundMethod {
    /// Whether the method has no table, and so at most a few short strings.
    fileprivate var isSmall: Bool {
        switch self {
        case .queueDeclare, .queueBind, .queueUnbind, .exchangeDeclare, .consume: false
        default: true
        }
    }
}

extension AMQPMessage {
    /// The maximum size of all frames of the message on the wire, in bytes.
    fileprivate var roughSize: Int {
        let properties = (try? self.properties.encodedSize()) ?? 0
        return 64 + properties + exchange.utf8.count + routingKey.utf8.count + body.count
    }
}

/// The amount that may be written after the socket was reported writable once.
///
/// A socket is writable if a third of its buffer is free, at least 140 kB as the kernel counts. A smaller amount fits
/// for certain, so one poll is enough for several small writes, and none of them can block.
struct WriteBudget {
    private static let bytesPerPoll = 65_536
    private static let writesPerPoll = 32

    private var bytes = 0
    private var writes = 0

    /// Reserves a write of `size` bytes; returns false if it needs another poll.
    mutating func take(_ size: Int) -> Bool {
        guard writes > 0, bytes >= size else { return false }
        writes -= 1
        bytes -= size
        return true
    }

    /// Resets the budget after a poll, less a first write of any size up to the largest.
    mutating func refill(spending size: Int) {
        writes = Self.writesPerPoll - 1
        bytes = Self.bytesPerPoll - size
    }
}

/// A message whose method and header are written, and whose body is written up to an offset.
struct PartialBody {
    let channel: ChannelState
    let body: [UInt8]
    var offset = 0
}
