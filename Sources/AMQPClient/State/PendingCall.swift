/// A call that waits for its answer; the broker answers the calls of a channel in their order.
struct PendingCall {
    let method: OutboundMethod
    let deadline: ContinuousClock.Instant
    /// Who waits, or nil once the time was up.
    var continuation: CheckedContinuation<Result<Reply, AMQPError>, Never>?

    mutating func resume(with result: Result<Reply, AMQPError>) {
        self.continuation.take()?.resume(returning: result)
    }
}

extension OutboundMethod {
    /// Whether a reply is the one that answers this method.
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

    /// Whether a late answer would bring messages, or a channel, that nobody takes.
    var holdsSomethingWhenLate: Bool {
        switch self {
        case .channelOpen, .consume, .get, .cancel: true
        default: false
        }
    }
}
