/// A frame from the broker.
enum InboundFrame {
    case method(channel: UInt16, InboundMethod)
    case header(channel: UInt16, bodySize: UInt64, AMQPProperties)
    /// The bytes are valid until the buffers of the channel are released.
    case body(channel: UInt16, UnsafeRawBufferPointer)
    case heartbeat
}

/// A method from the broker.
enum InboundMethod {
    case connectionClose(code: UInt16, text: String)
    case connectionCloseOk
    case connectionBlocked(reason: String)
    case connectionUnblocked
    case channelClose(code: UInt16, text: String)
    case channelFlow(active: Bool)
    case content(ContentAnnouncement)
    case consumerCancelled(tag: String)
    case ack(tag: UInt64, multiple: Bool)
    case nack(tag: UInt64, multiple: Bool)
    case reply(Reply)
    case unknown(name: String)
}

/// The answer to a call.
enum Reply {
    case channelOpenOk
    case channelCloseOk
    case queueDeclareOk(AMQPQueueStatus)
    case queueDeleteOk(messageCount: Int)
    case queuePurgeOk(messageCount: Int)
    case queueBindOk
    case queueUnbindOk
    case exchangeDeclareOk
    case exchangeDeleteOk
    case prefetchOk
    case consumeOk(tag: String)
    case cancelOk(tag: String)
    case getEmpty
    case confirmsOk
    /// The content that follows the method `basic.get-ok`.
    case fetched(AMQPDelivery)
}
