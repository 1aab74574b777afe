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

/// A call that waits for its answer; the broker answers the calls of a channel in order.
struct PendingCall {
    let method: OutboundMethod
    let deadline: ContinuousClock.Instant
    /// The waiting caller, or nil after the deadline.
    var continuation: CheckedContinuation<Result<Reply, AMQPError>, Never>?

    mutating func resume(with result: Result<Reply, AMQPError>) {
        continuation.take()?.resume(returning: result)
    }
}

extension OutboundMethod {
    /// Whether a reply answers this method.
    func isAnswered(by reply: Reply) -> Bool {
        switch (self, reply) {
        case (.channelOpen, .channelOpenOk), (.channelClose, .channelCloseOk), (.queueDeclare, .queueDeclareOk),
            (.queueDelete, .queueDeleteOk), (.queuePurge, .queuePurgeOk), (.queueBind, .queueBindOk),
            (.queueUnbind, .queueUnbindOk), (.exchangeDeclare, .exchangeDeclareOk),
            (.exchangeDelete, .exchangeDeleteOk), (.prefetch, .prefetchOk), (.consume, .consumeOk),
            (.cancel, .cancelOk), (.get, .getEmpty), (.get, .fetched), (.enableConfirms, .confirmsOk):
            true
        default: false
        }
    }

    /// Whether a late answer would hold messages, or a channel, that no caller waits for any longer.
    var holdsSomethingWhenLate: Bool {
        switch self {
        case .channelOpen, .consume, .get, .cancel: true
        default: false
        }
    }
}
