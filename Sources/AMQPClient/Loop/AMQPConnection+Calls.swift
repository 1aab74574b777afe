extension AMQPConnection {
    /// The library, while the connection can be used.
    func usableLibrary() throws(AMQPError) -> LibraryHandle {
        switch self.phase {
        case .open:
            if let library = self.library { return library }
            throw Self.closedHere
        case .connecting, .closing, .closed(nil): throw Self.closedHere
        case .closed(let error?): throw error
        }
    }

    static var closedHere: AMQPError { AMQPError(.closed, "the connection was closed by this process") }

    /// The state of a channel that can be used.
    func state(of channel: AMQPChannel) throws(AMQPError) -> ChannelState {
        _ = try self.usableLibrary()
        guard let state = self.channels[channel.number], state.id == channel.id else {
            throw self.channels.reason(for: channel.id)
        }
        guard state.phase == .open else { throw self.channels.reason(for: channel.id) }
        return state
    }

    /// Calls the broker on a channel and awaits its answer.
    func call(_ method: OutboundMethod, on channel: AMQPChannel) async throws(AMQPError) -> Reply {
        try await self.call(method, on: try self.state(of: channel))
    }

    func call(_ method: OutboundMethod, on channel: ChannelState) async throws(AMQPError) -> Reply {
        let library = try self.usableLibrary()
        try method.validate(frameMax: library.frameMax)
        let deadline = ContinuousClock.now + self.configuration.rpcTimeout
        let result = await withCheckedContinuation { continuation in
            self.queue(method, on: channel)
            channel.calls.append(PendingCall(method: method, deadline: deadline, continuation: continuation))
        }
        return try result.get()
    }

    /// The error for an answer of another kind, which `takeCall` has excluded.
    static func unexpected(_ reply: Reply) -> AMQPError {
        AMQPError(.protocolViolation, "the broker answered with \(reply)")
    }

    /// Why the broker reads nothing from this connection, if it said so.
    var blockedError: AMQPError? {
        self.blockedReason.map { AMQPError(.blocked, "the broker takes no messages for now: \($0)") }
    }

    /// Closes a channel from this side.
    func close(_ handle: AMQPChannel) async throws(AMQPError) {
        guard let channel = self.channels[handle.number], channel.id == handle.id, self.isOpen else { return }
        guard channel.phase != .closing else { return }
        // Queued before the others fail, so that its answer is what ends the closing.
        let reply = try await self.beginClosing(channel, AMQPError(.channelClosed, "the channel was closed here"))
        guard case .channelCloseOk = reply else { throw Self.unexpected(reply) }
    }

    /// Closes a channel from this side and forgets it when the broker has answered, whenever that is.
    func abandon(_ handle: AMQPChannel) {
        guard let channel = self.channels[handle.number], channel.id == handle.id, self.isOpen else { return }
        guard channel.phase != .closing else { return }
        self.abandon(channel, AMQPError(.channelClosed, "the channel was closed here"))
    }

    private func beginClosing(_ channel: ChannelState, _ reason: AMQPError) async throws(AMQPError) -> Reply {
        self.abandon(channel, reason)
        let deadline = ContinuousClock.now + self.configuration.rpcTimeout
        let result = await withCheckedContinuation { continuation in
            let call = PendingCall(method: .channelClose, deadline: deadline, continuation: continuation)
            channel.calls.append(call)
        }
        return try result.get()
    }

    /// Says goodbye on a channel and fails what waits on it.
    private func abandon(_ channel: ChannelState, _ reason: AMQPError) {
        self.queue(.channelClose, on: channel)
        self.fail(channel, reason)
        channel.phase = .closing
    }

    /// Forgets a channel that is closed, and fails what waits on it.
    func remove(_ channel: ChannelState, _ reason: AMQPError) {
        self.fail(channel, reason)
        self.channels.remove(channel)
    }

    private func fail(_ channel: ChannelState, _ reason: AMQPError) {
        self.channels.remember(reason, for: channel.id)
        channel.acknowledgements = []
        channel.acknowledgeBy = nil
        if channel.phase != .closing, self.partialBody?.channel === channel, reason.replyCode != nil {
            // The broker ignores the rest of a body on a channel that it has closed.
            self.partialBody = nil
        }
        channel.fail(reason)
        self.publishCalls.forEach { call in
            if call.channel === channel { self.finish(call, reason) }
        }
    }

    /// Gives up calls whose time is over, and the channel with them if a late answer would hold something.
    func expireCalls(of channel: ChannelState, _ now: ContinuousClock.Instant) {
        guard let deadline = channel.nextDeadline, now >= deadline else { return }
        let limit = self.configuration.rpcTimeout
        let error =
            self.blockedError ?? AMQPError(.timedOut, "the broker did not answer within \(limit)")
        var mustClose = false
        channel.calls.update { call in
            guard now >= call.deadline, call.continuation != nil else { return }
            call.resume(with: .failure(error))
            mustClose = mustClose || call.method.holdsSomethingWhenLate
        }
        if mustClose, channel.phase != .closing { self.abandon(channel, error.asChannelClosure) }
    }
}

extension AMQPError {
    fileprivate var asChannelClosure: AMQPError {
        AMQPError(.channelClosed, "the channel was given up: \(self.message)")
    }
}
