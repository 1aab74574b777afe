import CRabbitMQ
import Glibc

extension LibraryHandle {
    /// Writes a method that was validated.
    func send(_ method: OutboundMethod, on channel: UInt16) throws(AMQPError) {
        self.arena.reset()
        errno = 0
        let status = self.write(method, channel)
        guard status == AMQP_STATUS_OK.rawValue else {
            throw AMQPError(status: status, .connectionLost, "the connection is lost while writing")
        }
    }

    private func write(_ method: OutboundMethod, _ channel: UInt16) -> Int32 {
        switch method {
        case .connectionClose:
            var close = amqp_connection_close_t()
            close.reply_code = UInt16(AMQP_REPLY_SUCCESS)
            close.reply_text = self.arena.bytes("goodbye")
            return self.write(AMQP_CONNECTION_CLOSE_METHOD, channel, &close)
        case .connectionCloseOk:
            var close = amqp_connection_close_ok_t()
            return self.write(AMQP_CONNECTION_CLOSE_OK_METHOD, channel, &close)
        case .channelOpen:
            var open = amqp_channel_open_t()
            return self.write(AMQP_CHANNEL_OPEN_METHOD, channel, &open)
        case .channelClose:
            var close = amqp_channel_close_t()
            close.reply_code = UInt16(AMQP_REPLY_SUCCESS)
            close.reply_text = self.arena.bytes("goodbye")
            return self.write(AMQP_CHANNEL_CLOSE_METHOD, channel, &close)
        case .channelCloseOk:
            var close = amqp_channel_close_ok_t()
            return self.write(AMQP_CHANNEL_CLOSE_OK_METHOD, channel, &close)
        case .channelFlowOk(let active):
            var flow = amqp_channel_flow_ok_t(active: active ? 1 : 0)
            return self.write(AMQP_CHANNEL_FLOW_OK_METHOD, channel, &flow)
        case .ack(let tag, let multiple):
            var ack = amqp_basic_ack_t(delivery_tag: tag, multiple: multiple ? 1 : 0)
            return self.write(AMQP_BASIC_ACK_METHOD, channel, &ack)
        case .reject(let tag, let requeue):
            var reject = amqp_basic_reject_t(delivery_tag: tag, requeue: requeue ? 1 : 0)
            return self.write(AMQP_BASIC_REJECT_METHOD, channel, &reject)
        case .nack(let tag, let multiple, let requeue):
            var nack = amqp_basic_nack_t(delivery_tag: tag, multiple: multiple ? 1 : 0, requeue: requeue ? 1 : 0)
            return self.write(AMQP_BASIC_NACK_METHOD, channel, &nack)
        case .prefetch(let count):
            var qos = amqp_basic_qos_t(prefetch_size: 0, prefetch_count: count, global: 0)
            return self.write(AMQP_BASIC_QOS_METHOD, channel, &qos)
        case .consume(let queue, let tag, let exclusive, let arguments):
            var consume = amqp_basic_consume_t()
            consume.queue = self.arena.bytes(queue)
            consume.consumer_tag = self.arena.bytes(tag)
            consume.exclusive = exclusive ? 1 : 0
            consume.arguments = self.arena.table(arguments)
            return self.write(AMQP_BASIC_CONSUME_METHOD, channel, &consume)
        case .cancel(let tag):
            var cancel = amqp_basic_cancel_t(consumer_tag: self.arena.bytes(tag), nowait: 0)
            return self.write(AMQP_BASIC_CANCEL_METHOD, channel, &cancel)
        case .get(let queue):
            var get = amqp_basic_get_t(ticket: 0, queue: self.arena.bytes(queue), no_ack: 0)
            return self.write(AMQP_BASIC_GET_METHOD, channel, &get)
        case .enableConfirms:
            var select = amqp_confirm_select_t(nowait: 0)
            return self.write(AMQP_CONFIRM_SELECT_METHOD, channel, &select)
        case .queueDeclare, .queueDelete, .queuePurge, .queueBind, .queueUnbind, .exchangeDeclare, .exchangeDelete:
            return self.writeTopology(method, channel)
        }
    }

    private func writeTopology(_ method: OutboundMethod, _ channel: UInt16) -> Int32 {
        switch method {
        case .queueDeclare(let queue):
            var declare = amqp_queue_declare_t()
            declare.queue = self.arena.bytes(queue.name)
            declare.passive = queue.passive ? 1 : 0
            declare.durable = queue.durable ? 1 : 0
            declare.exclusive = queue.exclusive ? 1 : 0
            declare.auto_delete = queue.autoDelete ? 1 : 0
            declare.arguments = self.arena.table(queue.arguments)
            return self.write(AMQP_QUEUE_DECLARE_METHOD, channel, &declare)
        case .queueDelete(let name, let ifUnused, let ifEmpty):
            var delete = amqp_queue_delete_t()
            delete.queue = self.arena.bytes(name)
            delete.if_unused = ifUnused ? 1 : 0
            delete.if_empty = ifEmpty ? 1 : 0
            return self.write(AMQP_QUEUE_DELETE_METHOD, channel, &delete)
        case .queuePurge(let name):
            var purge = amqp_queue_purge_t(ticket: 0, queue: self.arena.bytes(name), nowait: 0)
            return self.write(AMQP_QUEUE_PURGE_METHOD, channel, &purge)
        case .queueBind(let binding):
            var bind = amqp_queue_bind_t()
            bind.queue = self.arena.bytes(binding.queue)
            bind.exchange = self.arena.bytes(binding.exchange)
            bind.routing_key = self.arena.bytes(binding.routingKey)
            bind.arguments = self.arena.table(binding.arguments)
            return self.write(AMQP_QUEUE_BIND_METHOD, channel, &bind)
        case .queueUnbind(let binding):
            var unbind = amqp_queue_unbind_t()
            unbind.queue = self.arena.bytes(binding.queue)
            unbind.exchange = self.arena.bytes(binding.exchange)
            unbind.routing_key = self.arena.bytes(binding.routingKey)
            unbind.arguments = self.arena.table(binding.arguments)
            return self.write(AMQP_QUEUE_UNBIND_METHOD, channel, &unbind)
        case .exchangeDeclare(let exchange):
            var declare = amqp_exchange_declare_t()
            declare.exchange = self.arena.bytes(exchange.name)
            declare.type = self.arena.bytes(exchange.type)
            declare.passive = exchange.passive ? 1 : 0
            declare.durable = exchange.durable ? 1 : 0
            declare.auto_delete = exchange.autoDelete ? 1 : 0
            declare.arguments = self.arena.table(exchange.arguments)
            return self.write(AMQP_EXCHANGE_DECLARE_METHOD, channel, &declare)
        case .exchangeDelete(let name, let ifUnused):
            var delete = amqp_exchange_delete_t()
            delete.exchange = self.arena.bytes(name)
            delete.if_unused = ifUnused ? 1 : 0
            return self.write(AMQP_EXCHANGE_DELETE_METHOD, channel, &delete)
        default:
            return AMQP_STATUS_INVALID_PARAMETER.rawValue
        }
    }

    private func write<Method>(_ id: UInt32, _ channel: UInt16, _ method: inout Method) -> Int32 {
        withUnsafeMutablePointer(to: &method) {
            amqp_send_method(self.state, channel, id, UnsafeMutableRawPointer($0))
        }
    }
}
