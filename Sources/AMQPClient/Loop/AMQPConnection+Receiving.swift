extension AMQPConnection {
    /// Processes a frame and frees its memory.
    func receive(_ frame: InboundFrame, _ library: LibraryHandle) throws(AMQPError) {
        switch frame {
        case .heartbeat: return
        case .method(let number, let method):
            if number == 0 {
                try receive(method)
            } else {
                try receive(method, on: try self.channel(numbered: number))
            }
            library.releaseBuffers(number)
        case .header(let number, let bodySize, let properties):
            let channel = try self.channel(numbered: number)
            if channel.phase == .open,
                let content = try channel.assembler.header(bodySize: bodySize, properties: properties)
            {
                try receive(content, on: channel)
            }
            library.releaseBuffers(number)
        case .body(let number, let bytes):
            let channel = try self.channel(numbered: number)
            if channel.phase == .open, let content = try channel.assembler.body(bytes) {
                try receive(content, on: channel)
            }
            library.releaseBuffers(number)
        }
    }

    private func channel(numbered number: UInt16) throws(AMQPError) -> ChannelState {
        guard let channel = channels[number] else {
            throw AMQPError(.protocolViolation, "the broker sent a frame on channel \(number), which is not open")
        }
        return channel
    }

    /// Processes a method of the connection.
    private func receive(_ method: InboundMethod) throws(AMQPError) {
        switch method {
        case .connectionClose(let code, let text):
            try library?.send(.connectionCloseOk, on: 0)
            throw AMQPError(.connectionLost, "the broker closed the connection: \(code) \(text)", replyCode: code)
        case .connectionCloseOk:
            finish(nil)
        case .connectionBlocked(let reason):
            blockedReason = reason
            // Data already written may now wait as long as the broker is short of memory.
            socketGuard.boundWrites(by: .zero)
        case .connectionUnblocked:
            blockedReason = nil
            socketGuard.boundWrites(by: configuration.heartbeat * 2)
        default:
            throw AMQPError(.protocolViolation, "the broker sent \(method) on channel 0")
        }
    }

    /// Processes a method of a channel.
    private func receive(_ method: InboundMethod, on channel: ChannelState) throws(AMQPError) {
        if channel.phase == .closing {
            switch method {
            case .channelClose: control.append((channel.number, .channelCloseOk))
            case .reply(.channelCloseOk): remove(channel, AMQPError(.channelClosed, "the channel was closed here"))
            default: break
            }
            return
        }
        switch method {
        case .content(let announcement):
            try channel.assembler.begin(announcement)
        case .ack(let tag, let multiple):
            try settle(tag, multiple, .confirmed, on: channel)
        case .nack(let tag, let multiple):
            try settle(tag, multiple, .nacked, on: channel)
        case .reply(let reply):
            try receive(reply, on: channel)
        case .consumerCancelled(let tag):
            let error = AMQPError(.consumerCancelled, "the broker ended the consumer \"\(tag)\"")
            channel.removeConsumer(tag)?.fail(error)
        case .channelClose(let code, let text):
            control.append((channel.number, .channelCloseOk))
            remove(
                channel,
                AMQPError(.channelClosed, "the broker closed the channel: \(code) \(text)", replyCode: code)
            )
        case .channelFlow(let active):
            queue(.channelFlowOk(active: active), on: channel)
        default:
            throw AMQPError(.protocolViolation, "the broker sent \(method) on channel \(channel.number)")
        }
    }

    private func receive(_ reply: Reply, on channel: ChannelState) throws(AMQPError) {
        if case .cancelOk = reply, !channel.awaitsCancelOk {
            // RabbitMQ answers twice if the queue is deleted while its consumer is being cancelled (seen with 3.10.8).
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
                throw AMQPError(.protocolViolation, "a delivery for the unknown consumer \"\(envelope.consumerTag)\"")
            }
            consumer.receive(delivery)
            if touchedConsumers.last !== consumer { touchedConsumers.append(consumer) }
        case .fetched(let envelope):
            try receive(.fetched(try self.delivery(envelope, content, on: channel)), on: channel)
        case .returned(let returned):
            let match = channel.confirms.matchReturn { call, tag in
                call.matches(tag, returned, content.properties, content.body)
            }
            guard let match else {
                throw AMQPError(.protocolViolation, "the broker returned a message that was never published")
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
            epoch: epoch,
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
            if !wasDone, call.isDone { unfinishedPublishCalls -= 1 }
        }
        guard isKnown else {
            throw AMQPError(.protocolViolation, "the broker confirmed message \(tag), which was never published")
        }
        compactPublishCalls()
    }
}
