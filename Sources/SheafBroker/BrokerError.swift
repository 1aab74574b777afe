/// An error of a broker.
public struct BrokerError: Error, Sendable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case unreachable, untrusted, accessRefused, connectionLost, notFound, queueGone, mismatch, blocked,
                timedOut, tooLarge
            case refused, storage, closed, invalidArgument, protocolViolation
        }
        private let value: Value

        private init(_ value: Value) { self.value = value }

        /// The code's name.
        public var description: String { value.rawValue }

        /// No broker answers at the address.
        public static let unreachable = Code(.unreachable)
        /// The certificate of the server at the address is not trusted.
        public static let untrusted = Code(.untrusted)
        /// The broker refused the user, the password, the virtual host or the operation.
        public static let accessRefused = Code(.accessRefused)
        /// The connection or the subscription ended during the call.
        public static let connectionLost = Code(.connectionLost)
        /// The queue or log does not exist; certain, see ``Broker``.
        public static let notFound = Code(.notFound)
        /// The queue or log was deleted while in use; certain, see ``Broker``.
        public static let queueGone = Code(.queueGone)
        /// A different queue of that name exists.
        public static let mismatch = Code(.mismatch)
        /// The broker accepts no messages at present (memory or disk alarm).
        public static let blocked = Code(.blocked)
        /// The broker did not answer in time, or a queue stayed unavailable.
        public static let timedOut = Code(.timedOut)
        /// The message exceeds the maximum size.
        public static let tooLarge = Code(.tooLarge)
        /// The broker rejected a message (negative confirmation).
        public static let refused = Code(.refused)
        /// The disk is full, or the file cannot be used.
        public static let storage = Code(.storage)
        /// This process closed the broker.
        public static let closed = Code(.closed)
        /// An argument is invalid, such as a name that is too long.
        public static let invalidArgument = Code(.invalidArgument)
        /// The peer violated the protocol.
        public static let protocolViolation = Code(.protocolViolation)
    }

    /// The kind of the error.
    public let code: Code
    /// What failed, on what and why, for display; never contains a password.
    public let message: String
    /// The underlying error, if there is one.
    public let underlying: (any Error)?

    /// Creates an error.
    public init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    /// The message.
    public var description: String { message }

    /// Whether the same call may succeed later without any change.
    public var isRetryable: Bool {
        [.unreachable, .connectionLost, .blocked, .timedOut, .refused].contains(code)
    }
}
