/// A method for the broker, other than `basic.publish`.
enum OutboundMethod: Sendable {
    case connectionClose
    case connectionCloseOk
    case channelOpen
    case channelClose
    case channelCloseOk
    case channelFlowOk(active: Bool)
    case queueDeclare(QueueDeclaration)
    case queueDelete(String, ifUnused: Bool, ifEmpty: Bool)
    case queuePurge(String)
    case queueBind(QueueBinding)
    case queueUnbind(QueueBinding)
    case exchangeDeclare(ExchangeDeclaration)
    case exchangeDelete(String, ifUnused: Bool)
    case prefetch(UInt16)
    case consume(String, tag: String, exclusive: Bool, arguments: AMQPTable)
    case cancel(tag: String)
    case get(String)
    case ack(UInt64, multiple: Bool)
    case reject(UInt64, requeue: Bool)
    case nack(UInt64, multiple: Bool, requeue: Bool)
    case enableConfirms
}

/// The arguments of `queue.declare`.
struct QueueDeclaration: Sendable {
    var name: String
    var passive: Bool
    var durable: Bool
    var exclusive: Bool
    var autoDelete: Bool
    var arguments: AMQPTable
}

/// The arguments of `exchange.declare`.
struct ExchangeDeclaration: Sendable {
    var name: String
    var type: String
    var passive: Bool
    var durable: Bool
    var autoDelete: Bool
    var arguments: AMQPTable
}

/// The arguments of `queue.bind` and `queue.unbind`.
struct QueueBinding: Sendable {
    var queue: String
    var exchange: String
    var routingKey: String
    var arguments: AMQPTable
}
