/// An error of the AMQP client or of the broker.
package struct AMQPError: Error, Sendable, Hashable {
    /// The kind of the error, for programs.
    package let code: Code
    /// A description for people; never contains a password.
    package let message: String
    /// The reply code of the broker, such as 404 or 406, if the broker refused the call.
    package let replyCode: UInt16?
    /// The status code of librabbitmq if it failed.
    package let libraryStatus: Int32?
    /// The system's `errno` if a system call failed.
    package let systemError: Int32?
    /// The indexes of the messages of a `publish` call that were returned or refused, in ascending order.
    package let failedMessages: [Int]

    init(
        _ code: Code,
        _ message: String,
        replyCode: UInt16? = nil,
        libraryStatus: Int32? = nil,
        systemError: Int32? = nil,
        failedMessages: [Int] = []
    ) {
        self.code = code
        self.message = message
        self.replyCode = replyCode
        self.libraryStatus = libraryStatus
        self.systemError = systemError
        self.failedMessages = failedMessages
    }

    /// Whether the same call can succeed later, possibly on a new connection.
    package var isRetryable: Bool {
        switch code {
        case .connectionFailed, .connectionLost, .closed, .blocked, .timedOut, .nacked, .consumerCancelled: true
        default: false
        }
    }
}

extension AMQPError: CustomStringConvertible {
    /// The code and the message.
    package var description: String { "\(code): \(message)" }
}

extension AMQPError {
    /// The kind of an error; later versions may add more.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The name of the code.
        package let description: String

        private init(_ name: String) { description = name }

        /// The connection could not be established: no address, refused, unreachable, no handshake in time, or TLS
        /// failed.
        package static let connectionFailed = Code("connectionFailed")
        /// The broker's certificate has no trusted issuer, has expired, or is for another host.
        package static let untrusted = Code("untrusted")
        /// The broker refused the user, the password or the virtual host.
        package static let accessRefused = Code("accessRefused")
        /// The connection broke or was closed by the broker; the outcome of pending operations is unknown.
        package static let connectionLost = Code("connectionLost")
        /// The connection was closed by this process.
        package static let closed = Code("closed")
        /// The channel was closed, by the broker (see `replyCode`) or by this process.
        package static let channelClosed = Code("channelClosed")
        /// The broker ended a consumer, for instance because its queue was deleted.
        package static let consumerCancelled = Code("consumerCancelled")
        /// The broker currently accepts no messages because it is short of memory or disk space.
        package static let blocked = Code("blocked")
        /// The broker did not answer in time; the outcome is unknown.
        package static let timedOut = Code("timedOut")
        /// A mandatory message could not be routed to a queue; see `failedMessages`.
        package static let returned = Code("returned")
        /// The broker could not take responsibility for a message; see `failedMessages`.
        package static let nacked = Code("nacked")
        /// The task was cancelled; the outcome of messages already sent is unknown.
        package static let cancelled = Code("cancelled")
        /// An argument is not allowed; nothing was sent.
        package static let invalidArgument = Code("invalidArgument")
        /// The broker sent something that the protocol does not allow.
        package static let protocolViolation = Code("protocolViolation")
    }
}
