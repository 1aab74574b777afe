extension AMQPConnection {
    /// Acts on a frame, and gives its memory back to the library.
    func receive(_ frame: InboundFrame, _ library: LibraryHandle) throws(AMQPError) {
        switch frame {
        case .heartbeat: return
        case .method(let number, let method):
            if number == 0 {
                try self.receive(method)
            } else {
                try self.receive(method, on: try self.channel(numbered: number))
            }
            library.releaseBuffers(number)
        case .header(let number, let bodySize, let properties):
            let channel = try self.channel(numbered: number)
            if channel.phase == .open,
                let content = try channel.assembler.header(bodySize: bodySize, properties: properties)
            {
                try self.receive(content, on: channel)
            }
            library.releaseBuffers(number)
        case .body(let number, let bytes):
            let channel = try self.channel(numbered: number)
            if channel.phase == .open, let content = try channel.assembler.body(bytes) {
                try self.receive(content, on: channel)
            }
            library.releaseBuffers(number)
        }
    }

    private func channel(numbered number: UInt16) throws(AMQPError) -> ChannelState {
        guard let channel = self.channels[number] else {
            throw AMQPError(.protocolViolation, "the broker sent a frame on channel \(number), which is not open")
        }
        return channel
    }

    /// Acts on a method about the connection.
    private func receive(_ method: InboundMethod) throws(AMQPError) {
        switch method {
        case .connectionClose(let code, let text):
            try self.library?.send(.connectionCloseOk, on: 0)
            throw AMQPError(.connectionLost, "the broker closed the connection: \(code) \(text)", replyCode: code)
        case .connectionCloseOk:
            self.finish(nil)
        case .connectionBlocked(let reason):
            self.blockedReason = reason
            // What is written already may now wait as long as the broker is short of memory.
            self.socketGuard.boundWrites(by: .zero)
        case .connectionUnblocked:
            self.blockedReason = nil
            self.socketGuard.boundWrites(by: self.configuration.heartbeat * 2)
        default:
            throw AMQPError(.protocolViolation, "the broker sent \(method) on channel 0")
        }
    }

    /// Acts on a method about a channel.
    private func receive(_ method: InboundMethod, on channel: ChannelState) throws(AMQPError) {
        if channel.phase == .closing {
            switch method {
            case .channelClose: self.control.append((channel.number, .channelCloseOk))
            case .reply(.channelCloseOk): self.remove(channel, AMQPError(.channelClosed, "the channel was closed here"))
            default: break
            }
            return
        }
        switch method {
        case .content(let announcement):
            try channel.assembler.begin(announcement)
        case .ack(let tag, let multiple):
            try self.settle(tag, multiple, .confirmed, on: channel)
        case .nack(let tag, let multiple):
            try self.settle(tag, multiple, .nacked, on: channel)
        case .reply(let reply):
            try self.receive(reply, on: channel)
        case .consumerCancelled(let tag):
            let error = AMQPError(.consumerCancelled, "the broker ended the consumer \"\(tag)\"")
            channel.removeConsumer(tag)?.fail(error)
        case .channelClose(let code, let text):
            self.control.append((channel.number, .channelCloseOk))
            self.remove(
                channel,
                AMQPError(.channelClosed, "the broker closed the channel: \(code) \(text)", replyCode: code)
            )
        case .channelFlow(let active):
            self.queue(.channelFlowOk(active: active), on: channel)
        default:
            throw AMQPError(.protocolViolation, "the broker sent \(method) on channel \(channel.number)")
        }
    }

    private func receive(_ reply: Reply, on channel: ChannelState) throws(AMQPError) {
        if case .cancelOk = reply, !channel.awaitsCancelOk {
            // RabbitMQ answers twice when the queue is deleted while its consumer is being cancelled (seen with 3.10.8).
            return
        }
        var call = try channel.takeCall(answeredBy: reply)
        switch call.method {
        case .channelOpen: channel.phase = .open
        case .prefetch: channel.prefetchIsSet = true
        case .enableConfirms: channel.confirmsAreEnabled = true
        default: break
        }
        call.resume(with: .success(reply))
    }

    private func receive(_ content: Content, on channel: ChannelState) throws(AMQPError) {
        switch content.announcement {
        case .deliver(let envelope):
            let delivery = try self.delivery(envelope, content, on: channel)
            guard let consumer = channel.consumer(envelope.consumerTag) else {
                throw AMQPError(.protocolViolation, "a delivery for \"\(envelope.consumerTag)\", which is no consumer")
            }
            consumer.receive(delivery)
            if self.touchedConsumers.last !== consumer { self.touchedConsumers.append(consumer) }
        case .fetched(let envelope):
            try self.receive(.fetched(try self.delivery(envelope, content, on: channel)), on: channel)
        case .returned(let returned):
            let match = channel.confirms.matchReturn { call, tag in
                call.matches(tag, returned, content.properties, content.body)
            }
            guard let match else {
                throw AMQPError(.protocolViolation, "the broker returned a message that was not published")
            }
            match.owner.returned(match.tag, returned)
        }
    }

    private func delivery(
        _ envelope: Envelope,
        _ content: Content,
        on channel: ChannelState
    ) throws(AMQPError) -> AMQPDelivery {
        guard channel.unsettled.deliver(envelope.deliveryTag) else {
            throw AMQPError(.protocolViolation, "the delivery tag \(envelope.deliveryTag) is out of order")
        }
        return AMQPDelivery(
            epoch: self.epoch,
            channelNumber: channel.number,
            channelID: channel.id,
            deliveryTag: envelope.deliveryTag,
            consumerTag: envelope.consumerTag,
            isRedelivered: envelope.isRedelivered,
            exchange: envelope.exchange,
            routingKey: envelope.routingKey,
            properties: content.properties,
            body: content.body
        )
    }

    private func settle(
        _ tag: UInt64,
        _ multiple: Bool,
        _ outcome: PublishCall.Outcome,
        on channel: ChannelState
    ) throws(AMQPError) {
        let isKnown = channel.confirms.settle(tag, multiple: multiple) { call, number in
            let wasDone = call.isDone
            call.settle(number, outcome)
            if !wasDone, call.isDone { self.unfinishedPublishCalls -= 1 }
        }
        guard isKnown else {
            throw AMQPError(.protocolViolation, "the broker confirmed message \(tag), which was not published")
        }
        self.compactPublishCalls()
    }
}
