/// An error of the AMQP client or of the broker it talks to.
public struct AMQPError: Error, Sendable, Hashable {
    /// What went wrong, for programs.
    public let code: Code
    /// What went wrong, for people; never contains a password.
    public let message: String
    /// The reply code of the broker, such as 404 or 406, if the broker refused.
    public let replyCode: UInt16?
    /// The status of librabbitmq, if it failed.
    public let libraryStatus: Int32?
    /// The system's `errno`, if a system call failed.
    public let systemError: Int32?
    /// The indexes of the messages of a `publish` call that were returned or refused, in ascending order.
    public let failedMessages: [Int]

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

    /// Whether the same call can succeed later, if need be on a new connection.
    public var isRetryable: Bool {
        switch self.code {
        case .connectionFailed, .connectionLost, .closed, .blocked, .timedOut, .nacked, .consumerCancelled: true
        default: false
        }
    }
}

extension AMQPError: CustomStringConvertible {
    /// The code and the message.
    public var description: String { "\(self.code): \(self.message)" }
}
