/// Why a broker could not do what it was asked.
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

        /// There is no broker at the address, or it does not answer.
        public static let unreachable = Code(.unreachable)
        /// What answers at the address can not show that it is the broker: its certificate is not trusted there.
        public static let untrusted = Code(.untrusted)
        /// The broker refuses the user, the password, the virtual host or the operation.
        public static let accessRefused = Code(.accessRefused)
        /// The connection ended under way.
        public static let connectionLost = Code(.connectionLost)
        /// There is no queue or log of that name.
        public static let notFound = Code(.notFound)
        /// The queue or log was deleted while in use.
        public static let queueGone = Code(.queueGone)
        /// A queue of that name exists and is different.
        public static let mismatch = Code(.mismatch)
        /// The broker takes no messages for now (memory or disk alarm).
        public static let blocked = Code(.blocked)
        /// The broker did not answer in time.
        public static let timedOut = Code(.timedOut)
        /// The message is larger than allowed.
        public static let tooLarge = Code(.tooLarge)
        /// The broker did not accept a message (negative confirmation).
        public static let refused = Code(.refused)
        /// The disk is full, or the file can not be used.
        public static let storage = Code(.storage)
        /// The broker was closed by its own process.
        public static let closed = Code(.closed)
        /// A call that makes no sense, such as a name that is too long.
        public static let invalidArgument = Code(.invalidArgument)
        /// The peer did something the protocol does not allow.
        public static let protocolViolation = Code(.protocolViolation)
    }

    /// The kind.
    public let code: Code
    /// What happened and where, for people; never with a password.
    public let message: String
    /// The cause, where there is one.
    public let underlying: (any Error)?

    /// Makes an error.
    public init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    /// The message.
    public var description: String { message }

    /// Whether the same call may succeed later without anybody mending anything.
    public var isRetryable: Bool {
        [.unreachable, .connectionLost, .blocked, .timedOut, .refused].contains(code)
    }
}
