import CRabbitMQ
import Glibc

extension LibraryHandle {
    /// Returns the next frame, or nil if none has arrived; also sends and checks heartbeats.
    func receive() throws(AMQPError) -> InboundFrame? {
        var frame = amqp_frame_t()
        var now = timeval()
        errno = 0
        let status = amqp_simple_wait_frame_noblock(state, &frame, &now)
        if status == AMQP_STATUS_TIMEOUT.rawValue { return nil }
        guard status == AMQP_STATUS_OK.rawValue else {
            throw AMQPError(status: status, .connectionLost, "the connection is lost")
        }
        switch Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD:
            return .method(channel: frame.channel, try decode(frame.payload.method))
        case AMQP_FRAME_HEADER:
            guard let decoded = frame.payload.properties.decoded else {
                throw AMQPError(.protocolViolation, "the broker sent a header without properties")
            }
            let properties = decoded.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee
            return .header(
                channel: frame.channel,
                bodySize: frame.payload.properties.body_size,
                AMQPProperties(properties, contentTypes: &self.contentTypes)
            )
        case AMQP_FRAME_BODY:
            return .body(channel: frame.channel, frame.payload.body_fragment.buffer)
        default:
            return .heartbeat
        }
    }

    /// Frees the memory of the frames received on a channel.
    func releaseBuffers(_ channel: UInt16) { amqp_maybe_release_buffers_on_channel(state, channel) }

    private func decode(_ method: amqp_method_t) throws(AMQPError) -> InboundMethod {
        guard let raw = method.decoded else {
            throw AMQPError(.protocolViolation, "the broker sent a method without arguments")
        }
        func `as`<Method>(_ type: Method.Type) -> Method { raw.assumingMemoryBound(to: type).pointee }
        switch method.id {
        case AMQP_BASIC_DELIVER_METHOD:
            let deliver = `as`(amqp_basic_deliver_t.self)
            return .content(
                .deliver(
                    Envelope(
                        consumerTag: consumerTags.text(deliver.consumer_tag),
                        deliveryTag: deliver.delivery_tag,
                        isRedelivered: deliver.redelivered != 0,
                        exchange: exchanges.text(deliver.exchange),
                        routingKey: routingKeys.text(deliver.routing_key)
                    )
                )
            )
        case AMQP_BASIC_ACK_METHOD:
            let ack = `as`(amqp_basic_ack_t.self)
            return .ack(tag: ack.delivery_tag, multiple: ack.multiple != 0)
        case AMQP_BASIC_NACK_METHOD:
            let nack = `as`(amqp_basic_nack_t.self)
            return .nack(tag: nack.delivery_tag, multiple: nack.multiple != 0)
        case AMQP_BASIC_GET_OK_METHOD:
            let fetched = `as`(amqp_basic_get_ok_t.self)
            return .content(
                .fetched(
                    Envelope(
                        deliveryTag: fetched.delivery_tag,
                        isRedelivered: fetched.redelivered != 0,
                        exchange: fetched.exchange.text,
                        routingKey: fetched.routing_key.text
                    )
                )
            )
        case AMQP_BASIC_RETURN_METHOD:
            let returned = `as`(amqp_basic_return_t.self)
            return .content(
                .returned(
                    ReturnedMessage(
                        replyCode: returned.reply_code,
                        replyText: returned.reply_text.text,
                        exchange: returned.exchange.text,
                        routingKey: returned.routing_key.text
                    )
                )
            )
        case AMQP_BASIC_CANCEL_METHOD:
            return .consumerCancelled(tag: `as`(amqp_basic_cancel_t.self).consumer_tag.text)
        case AMQP_CHANNEL_CLOSE_METHOD:
            let close = `as`(amqp_channel_close_t.self)
            return .channelClose(code: close.reply_code, text: close.reply_text.text)
        case AMQP_CHANNEL_FLOW_METHOD:
            return .channelFlow(active: `as`(amqp_channel_flow_t.self).active != 0)
        case AMQP_CONNECTION_CLOSE_METHOD:
            let close = `as`(amqp_connection_close_t.self)
            return .connectionClose(code: close.reply_code, text: close.reply_text.text)
        case AMQP_CONNECTION_CLOSE_OK_METHOD: return .connectionCloseOk
        case AMQP_CONNECTION_BLOCKED_METHOD:
            return .connectionBlocked(reason: `as`(amqp_connection_blocked_t.self).reason.text)
        case AMQP_CONNECTION_UNBLOCKED_METHOD: return .connectionUnblocked
        default: break
        }
        if let reply = decodeReply(method.id, raw) { return .reply(reply) }
        return .unknown(name: amqp_method_name(method.id).map { String(cString: $0) } ?? "method \(method.id)")
    }

    private func decodeReply(_ id: UInt32, _ raw: UnsafeMutableRawPointer) -> Reply? {
        func `as`<Method>(_ type: Method.Type) -> Method { raw.assumingMemoryBound(to: type).pointee }
        switch id {
        case AMQP_CHANNEL_OPEN_OK_METHOD: return .channelOpenOk
        case AMQP_CHANNEL_CLOSE_OK_METHOD: return .channelCloseOk
        case AMQP_QUEUE_DECLARE_OK_METHOD:
            let declared = `as`(amqp_queue_declare_ok_t.self)
            return .queueDeclareOk(
                AMQPQueueStatus(
                    name: declared.queue.text,
                    messageCount: Int(declared.message_count),
                    consumerCount: Int(declared.consumer_count)
                )
            )
        case AMQP_QUEUE_DELETE_OK_METHOD:
            return .queueDeleteOk(messageCount: Int(`as`(amqp_queue_delete_ok_t.self).message_count))
        case AMQP_QUEUE_PURGE_OK_METHOD:
            return .queuePurgeOk(messageCount: Int(`as`(amqp_queue_purge_ok_t.self).message_count))
        case AMQP_QUEUE_BIND_OK_METHOD: return .queueBindOk
        case AMQP_QUEUE_UNBIND_OK_METHOD: return .queueUnbindOk
        case AMQP_EXCHANGE_DECLARE_OK_METHOD: return .exchangeDeclareOk
        case AMQP_EXCHANGE_DELETE_OK_METHOD: return .exchangeDeleteOk
        case AMQP_BASIC_QOS_OK_METHOD: return .prefetchOk
        case AMQP_BASIC_CONSUME_OK_METHOD: return .consumeOk(tag: `as`(amqp_basic_consume_ok_t.self).consumer_tag.text)
        case AMQP_BASIC_CANCEL_OK_METHOD: return .cancelOk(tag: `as`(amqp_basic_cancel_ok_t.self).consumer_tag.text)
        case AMQP_BASIC_GET_EMPTY_METHOD: return .getEmpty
        case AMQP_CONFIRM_SELECT_OK_METHOD: return .confirmsOk
        default: return nil
        }
    }
}

/// Makes strings from bytes and keeps the last one, because successive frames often contain the same string.
struct StringCache {
    private var last = ""

    mutating func text(_ bytes: amqp_bytes_t) -> String {
        let buffer = bytes.buffer
        let isSame = last.withUTF8 { $0.count == buffer.count && $0.elementsEqual(buffer) }
        if !isSame { last = bytes.text }
        return last
    }
}
