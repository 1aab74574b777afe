import AMQPClient
import SheafBroker

extension BrokerError {
    /// Returns the broker layer's error for an error of the client; other errors are returned unchanged.
    ///
    /// Never `notFound` or `queueGone`: only ``AbsenceDecider`` decides on these.
    /// - Parameters:
    ///   - error: The error.
    ///   - action: What was attempted, such as `declaring queue 'a'`.
    static func mapped(_ error: any Error, _ action: String) -> any Error {
        guard let error = error as? AMQPError else { return error }
        if error.code == .cancelled { return CancellationError() }
        // A failure to connect names the endpoint and the action itself.
        let isNamed = error.message.hasPrefix("cannot connect to ")
        let message = isNamed ? error.message : "\(action): \(error.message)"
        return BrokerError(code(of: error), message, underlying: error)
    }

    /// Returns the same for an error that ends a consumer or a reader whose queue exists.
    ///
    /// If the broker closed the channel (for example after the acknowledgement time-out), it returned the deliveries to
    /// the queue as after a lost connection, and the remedy is the same: a new consumer.
    static func ending(_ error: any Error, _ action: String) -> any Error {
        guard let amqp = error as? AMQPError, amqp.code == .channelClosed else { return mapped(error, action) }
        return BrokerError(.connectionLost, "\(action): \(amqp.message)", underlying: amqp)
    }

    private static func code(of error: AMQPError) -> Code {
        switch error.code {
        case .connectionFailed: .unreachable
        case .untrusted: .untrusted
        case .accessRefused: .accessRefused
        // `closed`: this process gave the connection up after a time-out, without being asked to close.
        case .connectionLost, .closed, .consumerCancelled: .connectionLost
        case .blocked: .blocked
        case .timedOut, .returned: .timedOut
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
        case 404: .timedOut
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

    /// Whether the connection can no longer be used.
    var isConnectionGone: Bool { code == .connectionLost || code == .closed }
}
