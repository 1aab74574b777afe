import CRabbitMQ
import Glibc

extension LibraryHandle {
    /// Writes a validated method.
    func send(_ method: OutboundMethod, on channel: UInt16) throws(AMQPError) {
        arena.reset()
        errno = 0
        let status = write(method, channel)
        guard status == AMQP_STATUS_OK.rawValue else {
            throw AMQPError(status: status, .connectionLost, "the connection is lost while writing")
        }
    }

    private func write(_ method: OutboundMethod, _ channel: UInt16) -> Int32 {
        switch method {
        case .connectionClose:
            var close = amqp_connection_close_t()
            close.reply_code = UInt16(AMQP_REPLY_SUCCESS)
            close.reply_text = arena.bytes("goodbye")
            return write(AMQP_CONNECTION_CLOSE_METHOD, channel, &close)
        case .connectionCloseOk:
            var close = amqp_connection_close_ok_t()
            return write(AMQP_CONNECTION_CLOSE_OK_METHOD, channel, &close)
        case .channelOpen:
            var open = amqp_channel_open_t()
            return write(AMQP_CHANNEL_OPEN_METHOD, channel, &open)
        case .channelClose:
            var close = amqp_channel_close_t()
            close.reply_code = UInt16(AMQP_REPLY_SUCCESS)
            close.reply_text = arena.bytes("goodbye")
            return write(AMQP_CHANNEL_CLOSE_METHOD, channel, &close)
        case .channelCloseOk:
            var close = amqp_channel_close_ok_t()
            return write(AMQP_CHANNEL_CLOSE_OK_METHOD, channel, &close)
        case .channelFlowOk(let active):
            var flow = amqp_channel_flow_ok_t(active: active ? 1 : 0)
            return write(AMQP_CHANNEL_FLOW_OK_METHOD, channel, &flow)
        case .ack(let tag, let multiple):
            var ack = amqp_basic_ack_t(delivery_tag: tag, multiple: multiple ? 1 : 0)
            return write(AMQP_BASIC_ACK_METHOD, channel, &ack)
        case .reject(let tag, let requeue):
            var reject = amqp_basic_reject_t(delivery_tag: tag, requeue: requeue ? 1 : 0)
            return write(AMQP_BASIC_REJECT_METHOD, channel, &reject)
        case .nack(let tag, let multiple, let requeue):
            var nack = amqp_basic_nack_t(delivery_tag: tag, multiple: multiple ? 1 : 0, requeue: requeue ? 1 : 0)
            return write(AMQP_BASIC_NACK_METHOD, channel, &nack)
        case .prefetch(let count):
            var qos = amqp_basic_qos_t(prefetch_size: 0, prefetch_count: count, global: 0)
            return write(AMQP_BASIC_QOS_METHOD, channel, &qos)
        case .consume(let queue, let tag, let exclusive, let arguments):
            var consume = amqp_basic_consume_t()
            consume.queue = arena.bytes(queue)
            consume.consumer_tag = arena.bytes(tag)
            consume.exclusive = exclusive ? 1 : 0
            consume.arguments = arena.table(arguments)
            return write(AMQP_BASIC_CONSUME_METHOD, channel, &consume)
        case .cancel(let tag):
            var cancel = amqp_basic_cancel_t(consumer_tag: arena.bytes(tag), nowait: 0)
            return write(AMQP_BASIC_CANCEL_METHOD, channel, &cancel)
        case .get(let queue):
            var get = amqp_basic_get_t(ticket: 0, queue: arena.bytes(queue), no_ack: 0)
            return write(AMQP_BASIC_GET_METHOD, channel, &get)
        case .enableConfirms:
            var select = amqp_confirm_select_t(nowait: 0)
            return write(AMQP_CONFIRM_SELECT_METHOD, channel, &select)
        case .queueDeclare, .queueDelete, .queuePurge, .queueBind, .queueUnbind, .exchangeDeclare, .exchangeDelete:
            return writeTopology(method, channel)
        }
    }

    private func writeTopology(_ method: OutboundMethod, _ channel: UInt16) -> Int32 {
        switch method {
        case .queueDeclare(let queue):
            var declare = amqp_queue_declare_t()
            declare.queue = arena.bytes(queue.name)
            declare.passive = queue.passive ? 1 : 0
            declare.durable = queue.durable ? 1 : 0
            declare.exclusive = queue.exclusive ? 1 : 0
            declare.auto_delete = queue.autoDelete ? 1 : 0
            declare.arguments = arena.table(queue.arguments)
            return write(AMQP_QUEUE_DECLARE_METHOD, channel, &declare)
        case .queueDelete(let name, let ifUnused, let ifEmpty):
            var delete = amqp_queue_delete_t()
            delete.queue = arena.bytes(name)
            delete.if_unused = ifUnused ? 1 : 0
            delete.if_empty = ifEmpty ? 1 : 0
            return write(AMQP_QUEUE_DELETE_METHOD, channel, &delete)
        case .queuePurge(let name):
            var purge = amqp_queue_purge_t(ticket: 0, queue: arena.bytes(name), nowait: 0)
            return write(AMQP_QUEUE_PURGE_METHOD, channel, &purge)
        case .queueBind(let binding):
            var bind = amqp_queue_bind_t()
            bind.queue = arena.bytes(binding.queue)
            bind.exchange = arena.bytes(binding.exchange)
            bind.routing_key = arena.bytes(binding.routingKey)
            bind.arguments = arena.table(binding.arguments)
            return write(AMQP_QUEUE_BIND_METHOD, channel, &bind)
        case .queueUnbind(let binding):
            var unbind = amqp_queue_unbind_t()
            unbind.queue = arena.bytes(binding.queue)
            unbind.exchange = arena.bytes(binding.exchange)
            unbind.routing_key = arena.bytes(binding.routingKey)
            unbind.arguments = arena.table(binding.arguments)
            return write(AMQP_QUEUE_UNBIND_METHOD, channel, &unbind)
        case .exchangeDeclare(let exchange):
            var declare = amqp_exchange_declare_t()
            declare.exchange = arena.bytes(exchange.name)
            declare.type = arena.bytes(exchange.type)
            declare.passive = exchange.passive ? 1 : 0
            declare.durable = exchange.durable ? 1 : 0
            declare.auto_delete = exchange.autoDelete ? 1 : 0
            declare.arguments = arena.table(exchange.arguments)
            return write(AMQP_EXCHANGE_DECLARE_METHOD, channel, &declare)
        case .exchangeDelete(let name, let ifUnused):
            var delete = amqp_exchange_delete_t()
            delete.exchange = arena.bytes(name)
            delete.if_unused = ifUnused ? 1 : 0
            return write(AMQP_EXCHANGE_DELETE_METHOD, channel, &delete)
        default:
            return AMQP_STATUS_INVALID_PARAMETER.rawValue
        }
    }

    private func write<Method>(_ id: UInt32, _ channel: UInt16, _ method: inout Method) -> Int32 {
        withUnsafeMutablePointer(to: &method) {
            amqp_send_method(state, channel, id, UnsafeMutableRawPointer($0))
        }
    }
}

extension LibraryHandle {
    /// The size of the largest body frame, limited so that one poll of the socket covers it, whatever the broker
    /// allows.
    var bodyFrameSize: Int { min(frameMax - 8, 65_536 - 8) }

    /// Whether a body is written frame by frame.
    ///
    /// This includes a body that fills its frames exactly: the library would leave the last one in the kernel for 200
    /// ms.
    func mustSplit(_ body: [UInt8]) -> Bool {
        body.count > 32_768 || (!body.isEmpty && body.count % (frameMax - 8) == 0)
    }

    /// Writes a whole message at once, for bodies that need not be split.
    func publish(_ message: AMQPMessage, on channel: UInt16, mandatory: Bool) throws(AMQPError) {
        arena.reset()
        errno = 0
        var properties = arena.properties(message.properties)
        let exchange = arena.bytes(message.exchange)
        let routingKey = arena.bytes(message.routingKey)
        let status = message.body.withUnsafeBytes { body in
            amqp_basic_publish(
                state,
                channel,
                exchange,
                routingKey,
                mandatory ? 1 : 0,
                0,
                &properties,
                amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress))
            )
        }
        try checkWrite(status)
    }

    /// Writes the method and the header of a message; its body frames must follow.
    func beginPublish(_ message: AMQPMessage, on channel: UInt16, mandatory: Bool) throws(AMQPError) {
        arena.reset()
        errno = 0
        var method = amqp_basic_publish_t()
        method.exchange = arena.bytes(message.exchange)
        method.routing_key = arena.bytes(message.routingKey)
        method.mandatory = mandatory ? 1 : 0
        try checkWrite(amqp_send_method(state, channel, AMQP_BASIC_PUBLISH_METHOD, &method))
        var properties = arena.properties(message.properties)
        let status = withUnsafeMutablePointer(to: &properties) { properties in
            var frame = amqp_frame_t()
            frame.frame_type = UInt8(AMQP_FRAME_HEADER)
            frame.channel = channel
            frame.payload.properties.class_id = UInt16(AMQP_BASIC_CLASS)
            frame.payload.properties.body_size = UInt64(message.body.count)
            frame.payload.properties.decoded = UnsafeMutableRawPointer(properties)
            return amqp_send_frame(state, &frame)
        }
        try checkWrite(status)
    }

    /// Writes one frame of a body and returns the offset of the next one.
    func sendBody(_ body: [UInt8], from offset: Int, on channel: UInt16) throws(AMQPError) -> Int {
        let end = min(body.count, offset + bodyFrameSize)
        errno = 0
        let status = body.withUnsafeBytes { bytes in
            let part = UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
            var frame = amqp_frame_t()
            frame.frame_type = UInt8(AMQP_FRAME_BODY)
            frame.channel = channel
            frame.payload.body_fragment = amqp_bytes_t(
                len: part.count,
                bytes: UnsafeMutableRawPointer(mutating: part.baseAddress)
            )
            return amqp_send_frame(state, &frame)
        }
        try checkWrite(status)
        return end
    }

    private func checkWrite(_ status: Int32) throws(AMQPError) {
        guard status == AMQP_STATUS_OK.rawValue else {
            throw AMQPError(status: status, .connectionLost, "the connection is lost while publishing")
        }
    }
}
