import AMQPClient
import SheafBroker

extension BrokerError {
    /// The broker layer's word for what the client or the broker threw; `CancellationError` stays what it is.
    ///
    /// - Parameters:
    ///   - error: What was thrown; errors of the broker layer are handed on as they are.
    ///   - action: What was attempted, such as `declaring queue 'a'`.
    static func mapped(_ error: any Error, _ action: String) -> any Error {
        guard let error = error as? AMQPError else { return error }
        if error.code == .cancelled { return CancellationError() }
        // Not a deletion, however long it takes: the broker or a replica is still starting.
        let code = error.isNotYetUp ? .timedOut : code(of: error)
        return BrokerError(code, "\(action): \(error.message)", underlying: error)
    }

    /// The same for what ends a consumer or a reader.
    ///
    /// Whatever closed its channel other than the loss of its queue (say the acknowledgement time-out) has given its
    /// deliveries back, as a lost connection does, and is mended the same way: by consuming anew.
    static func ending(_ error: any Error, _ action: String) -> any Error {
        guard let amqp = error as? AMQPError, amqp.code == .channelClosed else { return mapped(error, action) }
        let code: Code = amqp.replyCode == 404 && !amqp.isNotYetUp ? .queueGone : .connectionLost
        return BrokerError(code, "\(action): \(amqp.message)", underlying: amqp)
    }

    private static func code(of error: AMQPError) -> Code {
        switch error.code {
        case .connectionFailed: .unreachable
        case .untrusted: .untrusted
        case .accessRefused: .accessRefused
        // Closed by this process, but not by the broker's user: a connection given up after a time-out.
        case .connectionLost, .closed: .connectionLost
        case .consumerCancelled: .queueGone
        case .blocked: .blocked
        case .timedOut: .timedOut
        case .returned: .notFound
        case .nacked: .refused
        case .invalidArgument: .invalidArgument
        case .channelClosed: code(ofReply: error.replyCode)
        default: .protocolViolation
        }
    }

    private static func code(ofReply reply: UInt16?) -> Code {
        switch reply {
        case nil: .connectionLost
        case 311: .tooLarge
        case 403: .accessRefused
        case 404: .notFound
        case 405, 406: .mismatch
        case 506, 541: .refused
        default: .protocolViolation
        }
    }
}

extension AMQPError {
    /// Whether the broker closed the channel with this reply.
    func isReply(_ code: UInt16) -> Bool {
        self.code == .channelClosed && replyCode == code
    }

    /// Whether the connection is of no use any more.
    var isConnectionGone: Bool { code == .connectionLost || code == .closed }

    /// Whether a queue exists but is not up yet, as in the first second or two after the broker's start.
    ///
    /// The broker says 404 (406 for a stream without a replica) for those too; only the text tells them from queues
    /// that were deleted.
    var isNotYetUp: Bool {
        isReply(404) && !message.contains("no queue '") && !message.contains("no exchange '")
            || isReply(406) && message.contains("replica")
    }
}
