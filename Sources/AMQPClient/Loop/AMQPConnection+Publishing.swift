extension AMQPConnection {
    /// Publishes messages and awaits the last confirm.
    func publish(_ messages: [AMQPMessage], mandatory: Bool, on channel: AMQPChannel) async throws(AMQPError) {
        let state = try self.state(of: channel)
        let library = try self.usableLibrary()
        guard state.confirmsAreEnabled else {
            throw AMQPError(.invalidArgument, "confirms are not enabled on channel \(channel.number)")
        }
        for message in messages {
            try message.validate(
                frameMax: library.frameMax,
                maximumBodySize: self.configuration.maximumBodySize
            )
        }
        guard !messages.isEmpty else { return }
        let ticket = self.nextTicket()
        let result = await withTaskCancellationHandler {
            await self.enqueue(messages, mandatory, state, ticket)
        } onCancel: {
            self.onLoop { $0.cancelPublish(ticket) }
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
        let deadline = ContinuousClock.now + self.configuration.publishTimeout
        return await withCheckedContinuation { continuation in
            let call = PublishCall(
                id: ticket,
                channel: channel,
                messages: messages,
                isMandatory: mandatory,
                deadline: deadline,
                continuation: continuation
            )
            self.outbox.append(call)
            self.publishCalls.append(call)
            self.unfinishedPublishCalls += 1
        }
    }

    private func cancelPublish(_ ticket: UInt64) {
        guard let call = self.publishCalls.first(where: { $0.id == ticket }) else { return }
        self.finish(call, Self.publishCancelled)
    }

    private static var publishCancelled: AMQPError {
        AMQPError(.cancelled, "the publishing task was cancelled; what was sent has an unknown outcome")
    }

    /// Fails a call that is not done.
    func finish(_ call: PublishCall, _ error: AMQPError) {
        guard !call.isDone else { return }
        call.finish(.failure(error))
        self.unfinishedPublishCalls -= 1
    }

    /// Forgets calls that are done: at the front at once, behind an unfinished one when they are many.
    func compactPublishCalls() {
        while let call = self.publishCalls.first, call.isDone { _ = self.publishCalls.popFirst() }
        if self.publishCalls.count > 2 * self.unfinishedPublishCalls + 1024 {
            self.publishCalls.keep { !$0.isDone }
        }
    }
}
