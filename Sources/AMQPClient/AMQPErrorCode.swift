extension AMQPError {
    /// The kind of an error; more can be added.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The name of the code.
        public let description: String

        private init(_ name: String) { self.description = name }

        /// No connection came about: no address, refused, unreachable, no handshake in time, or TLS failed.
        public static let connectionFailed = Code("connectionFailed")
        /// The broker's certificate comes from nobody who is trusted, is out of date, or is for another host.
        public static let untrusted = Code("untrusted")
        /// The broker refused the user, the password or the virtual host.
        public static let accessRefused = Code("accessRefused")
        /// The connection broke or was closed by the broker; what was under way has an unknown outcome.
        public static let connectionLost = Code("connectionLost")
        /// The connection was closed by this process.
        public static let closed = Code("closed")
        /// The broker closed the channel, as `replyCode` tells, or it was closed here.
        public static let channelClosed = Code("channelClosed")
        /// The broker ended a consumer, for instance because its queue was deleted.
        public static let consumerCancelled = Code("consumerCancelled")
        /// The broker takes no messages for now, because memory or disk is short.
        public static let blocked = Code("blocked")
        /// No answer came in time; the outcome is unknown.
        public static let timedOut = Code("timedOut")
        /// No queue took a mandatory message; `failedMessages` tells which.
        public static let returned = Code("returned")
        /// The broker could not take responsibility for a message; `failedMessages` tells which.
        public static let nacked = Code("nacked")
        /// The task was cancelled; the outcome of what was already sent is unknown.
        public static let cancelled = Code("cancelled")
        /// An argument is not allowed; nothing was sent.
        public static let invalidArgument = Code("invalidArgument")
        /// The broker sent something that the protocol does not allow.
        public static let protocolViolation = Code("protocolViolation")
    }
}
