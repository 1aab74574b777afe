extension AMQPConnection {
    /// Returns the library if the connection can be used.
    func usableLibrary() throws(AMQPError) -> LibraryHandle {
        switch phase {
        case .open:
            if let library = self.library { return library }
            throw Self.closedHere
        case .connecting, .closing, .closed(nil): throw Self.closedHere
        case .closed(let error?): throw error
        }
    }

    static var closedHere: AMQPError { AMQPError(.closed, "the connection was closed by this process") }

    /// Returns the state of a channel if it can be used.
    func state(of channel: AMQPChannel) throws(AMQPError) -> ChannelState {
        _ = try usableLibrary()
        guard let state = channels[channel.number], state.id == channel.id else {
            throw channels.reason(for: channel.id)
        }
        guard state.phase == .open else { throw channels.reason(for: channel.id) }
        return state
    }

    /// Calls the broker on a channel and waits for its answer.
    func call(_ method: OutboundMethod, on channel: AMQPChannel) async throws(AMQPError) -> Reply {
        try await self.call(method, on: try state(of: channel))
    }

    func call(_ method: OutboundMethod, on channel: ChannelState) async throws(AMQPError) -> Reply {
        let library = try usableLibrary()
        try method.validate(frameMax: library.frameMax)
        let deadline = ContinuousClock.now + configuration.rpcTimeout
        let result = await withCheckedContinuation { continuation in
            queue(method, on: channel)
            channel.calls.append(PendingCall(method: method, deadline: deadline, continuation: continuation))
        }
        return try result.get()
    }

    /// Returns the error for an answer of another kind, which `takeCall` has already excluded.
    static func unexpected(_ reply: Reply) -> AMQPError {
        AMQPError(.protocolViolation, "the broker answered with \(reply)")
    }

    /// The error for calls while the broker accepts no messages on this connection, or nil if it accepts them.
    var blockedError: AMQPError? {
        blockedReason.map { AMQPError(.blocked, "the broker takes no messages for now: \($0)") }
    }

    /// Closes a channel from this side.
    func close(_ handle: AMQPChannel) async throws(AMQPError) {
        guard let channel = channels[handle.number], channel.id == handle.id, isOpen else { return }
        guard channel.phase != .closing else { return }
        // Queued before the other calls fail, so that its answer is what ends the closing.
        let reply = try await beginClosing(channel, AMQPError(.channelClosed, "the channel was closed here"))
        guard case .channelCloseOk = reply else { throw Self.unexpected(reply) }
    }

    /// Closes a channel from this side without waiting; it is removed when the broker answers.
    func abandon(_ handle: AMQPChannel) {
        guard let channel = channels[handle.number], channel.id == handle.id, isOpen else { return }
        guard channel.phase != .closing else { return }
        self.abandon(channel, AMQPError(.channelClosed, "the channel was closed here"))
    }

    private func beginClosing(_ channel: ChannelState, _ reason: AMQPError) async throws(AMQPError) -> Reply {
        abandon(channel, reason)
        let deadline = ContinuousClock.now + configuration.rpcTimeout
        let result = await withCheckedContinuation { continuation in
            let call = PendingCall(method: .channelClose, deadline: deadline, continuation: continuation)
            channel.calls.append(call)
        }
        return try result.get()
    }

    /// Queues `channel.close` and fails everything that waits on the channel.
    private func abandon(_ channel: ChannelState, _ reason: AMQPError) {
        queue(.channelClose, on: channel)
        fail(channel, reason)
        channel.phase = .closing
    }

    /// Removes a closed channel and fails everything that waits on it.
    func remove(_ channel: ChannelState, _ reason: AMQPError) {
        fail(channel, reason)
        channels.remove(channel)
    }

    private func fail(_ channel: ChannelState, _ reason: AMQPError) {
        channels.remember(reason, for: channel.id)
        channel.acknowledgements = []
        channel.acknowledgeBy = nil
        if channel.phase != .closing, partialBody?.channel === channel, reason.replyCode != nil {
            // The broker ignores the rest of a body on a channel that it has closed.
            partialBody = nil
        }
        channel.fail(reason)
        publishCalls.forEach { call in
            if call.channel === channel { finish(call, reason) }
        }
    }

    /// Fails calls whose deadline has passed, and closes the channel if a late answer would hold messages.
    func expireCalls(of channel: ChannelState, _ now: ContinuousClock.Instant) {
        guard let deadline = channel.nextDeadline, now >= deadline else { return }
        let limit = configuration.rpcTimeout
        let error =
            blockedError ?? AMQPError(.timedOut, "the broker did not answer within \(limit)")
        var mustClose = false
        channel.calls.update { call in
            guard now >= call.deadline, call.continuation != nil else { return }
            call.resume(with: .failure(error))
            mustClose = mustClose || call.method.holdsSomethingWhenLate
        }
        guard mustClose, channel.phase != .closing else { return }
        abandon(channel, AMQPError(.channelClosed, "the channel was closed after a call failed: \(error.message)"))
    }
}

// MARK: Publishing

extension AMQPConnection {
    /// Publishes messages and waits for the last confirm.
    func publish(_ messages: [AMQPMessage], mandatory: Bool, on channel: AMQPChannel) async throws(AMQPError) {
        let state = try self.state(of: channel)
        let library = try usableLibrary()
        guard state.confirmsAreEnabled else {
            throw AMQPError(.invalidArgument, "confirms are not enabled on channel \(channel.number)")
        }
        for message in messages {
            try message.validate(
                frameMax: library.frameMax,
                maximumBodySize: configuration.maximumBodySize
            )
        }
        guard !messages.isEmpty else { return }
        let ticket = nextTicket()
        let result = await withTaskCancellationHandler {
            await enqueue(messages, mandatory, state, ticket)
        } onCancel: {
            onLoop { $0.cancelPublish(ticket) }
        }
        try result.get()
    }

    private func enqueue(
        _ messages: [AMQPMessage],
        _ mandatory: Bool,
        _ channel: ChannelState,
        _ ticket: UInt64
    ) async -> Result<Void, AMQPError> {
        guard !Task.isCancelled else { return .failure(Self.publishCancelled) }
        let deadline = ContinuousClock.now + configuration.publishTimeout
        return await withCheckedContinuation { continuation in
            let call = PublishCall(
                id: ticket,
                channel: channel,
                messages: messages,
                isMandatory: mandatory,
                deadline: deadline,
                continuation: continuation
            )
            outbox.append(call)
            publishCalls.append(call)
            unfinishedPublishCalls += 1
        }
    }

    private func cancelPublish(_ ticket: UInt64) {
        guard let call = publishCalls.first(where: { $0.id == ticket }) else { return }
        finish(call, Self.publishCancelled)
    }

    private static var publishCancelled: AMQPError {
        AMQPError(.cancelled, "the publishing task was cancelled; the outcome of sent messages is unknown")
    }

    /// Fails a call that is not done.
    func finish(_ call: PublishCall, _ error: AMQPError) {
        guard !call.isDone else { return }
        call.finish(.failure(error))
        unfinishedPublishCalls -= 1
    }

    /// Removes finished calls: at the front at once, and those after an unfinished call if they are many.
    func compactPublishCalls() {
        while let call = publishCalls.first, call.isDone { _ = publishCalls.popFirst() }
        if publishCalls.count > 2 * unfinishedPublishCalls + 1024 {
            publishCalls.keep { !$0.isDone }
        }
    }
}

// MARK: Consuming

extension AMQPConnection {
    /// Starts a consumer; it is registered before the request is sent, because deliveries may follow immediately.
    func consume(
        _ queue: String,
        tag: String?,
        exclusive: Bool,
        arguments: AMQPTable,
        on channel: AMQPChannel
    ) async throws(AMQPError) -> AMQPConsumer {
        let state = try self.state(of: channel)
        guard state.prefetchIsSet else {
            throw AMQPError(.invalidArgument, "the prefetch of channel \(channel.number) is not set")
        }
        let tag = tag ?? "c\(epoch).\(channel.id).\(nextTicket())"
        guard state.consumer(tag) == nil, !tag.isEmpty else {
            throw AMQPError(.invalidArgument, "the consumer tag \"\(tag)\" is in use or empty")
        }
        let consumer = ConsumerState(tag: tag)
        state.add(consumer)
        do throws(AMQPError) {
            let method = OutboundMethod.consume(queue, tag: tag, exclusive: exclusive, arguments: arguments)
            _ = try await call(method, on: state)
        } catch {
            state.removeConsumer(tag)
            throw error
        }
        return AMQPConsumer(channel: channel, tag: tag, state: consumer)
    }

    /// Ends a consumer and returns its buffered deliveries.
    func cancel(_ consumer: AMQPConsumer) async throws(AMQPError) -> [AMQPDelivery] {
        guard let channel = channels[consumer.channel.number], channel.id == consumer.channel.id,
            channel.consumer(consumer.tag) === consumer.state
        else { return consumer.state.cancel() }
        _ = try await call(.cancel(tag: consumer.tag), on: channel)
        channel.removeConsumer(consumer.tag)
        return consumer.state.cancel()
    }
}

// MARK: Settling

extension AMQPConnection {
    /// The number of unsettled deliveries from which acknowledgements may be delayed without slowing the broker down.
    private static let manyUnsettled = 256
    /// The divisor of that number that gives the size of a group of acknowledgements, and the maximum wait for a group.
    private static let (togetherShare, togetherPatience) = (2, Duration.milliseconds(20))

    /// Turns the acknowledgements of all channels into as few methods as possible.
    ///
    /// Each frame costs a quorum queue an entry of its log, and each makes it send new deliveries. If a channel has
    /// very many unsettled deliveries, acknowledgements are collected briefly. Those above a gap wait once more, since
    /// one frame is enough for all of them when the gap closes: concurrent tasks end almost in order.
    func queueAcknowledgements(at now: ContinuousClock.Instant) {
        guard !acknowledging.isEmpty else { return }
        for channel in acknowledging { queueAcknowledgements(of: channel, at: now) }
        acknowledging.removeAll { $0.acknowledgements.isEmpty }
    }

    /// Turns the acknowledgements of all channels into methods at once, whatever gaps there are.
    func queueAcknowledgements() {
        for channel in acknowledging { queueAcknowledgements(of: channel) }
        acknowledging.removeAll(keepingCapacity: true)
    }

    /// Turns the acknowledgements of a channel into methods at once.
    func queueAcknowledgements(of channel: ChannelState) {
        guard !channel.acknowledgements.isEmpty else { return }
        let plan = channel.unsettled.settle(channel.acknowledgements)
        channel.acknowledgements.removeAll(keepingCapacity: true)
        channel.acknowledgeBy = nil
        if let tag = plan.upTo { control.append((channel.number, .ack(tag, multiple: true))) }
        for tag in plan.single { control.append((channel.number, .ack(tag, multiple: false))) }
    }

    private func queueAcknowledgements(of channel: ChannelState, at now: ContinuousClock.Instant) {
        let span = channel.unsettled.span
        guard span >= Self.manyUnsettled else { return queueAcknowledgements(of: channel) }
        let by = channel.acknowledgeBy ?? now + Self.togetherPatience
        channel.acknowledgeBy = by
        let areMany = channel.hasNewAcknowledgements && channel.acknowledgements.count >= span / Self.togetherShare
        channel.hasNewAcknowledgements = false
        guard areMany || now >= by else { return }
        channel.acknowledgements.sort()
        if let covered = channel.unsettled.settleCovered(channel.acknowledgements) {
            channel.acknowledgements.removeFirst(covered.count)
            control.append((channel.number, .ack(covered.upTo, multiple: true)))
            channel.acknowledgeBy = channel.acknowledgements.isEmpty ? nil : now + Self.togetherPatience
        } else if now >= by {
            queueAcknowledgements(of: channel)
        }
    }

    /// Queues acknowledgements; those made between two turns of the loop are sent together.
    func acknowledge(_ tags: [UInt64], on channel: AMQPChannel) throws(AMQPError) {
        let state = try claim(tags, on: channel)
        if state.acknowledgements.isEmpty { acknowledging.append(state) }
        state.acknowledgements += tags
        state.hasNewAcknowledgements = true
    }

    func acknowledge(upTo tag: UInt64, on channel: AMQPChannel) throws(AMQPError) {
        let state = try self.state(of: channel)
        queueAcknowledgements()
        if let highest = state.unsettled.settle(upTo: tag) { queue(.ack(highest, multiple: true), on: state) }
    }

    func reject(_ tags: [UInt64], requeue: Bool, on channel: AMQPChannel) throws(AMQPError) {
        let state = try claim(tags, on: channel)
        queueAcknowledgements()
        _ = state.unsettled.settle(tags)
        for tag in tags { queue(.reject(tag, requeue: requeue), on: state) }
    }

    func nack(_ tags: [UInt64], requeue: Bool, on channel: AMQPChannel) throws(AMQPError) {
        let state = try claim(tags, on: channel)
        queueAcknowledgements()
        let plan = state.unsettled.settle(tags)
        if let tag = plan.upTo { queue(.nack(tag, multiple: true, requeue: requeue), on: state) }
        for tag in plan.single { queue(.nack(tag, multiple: false, requeue: requeue), on: state) }
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
