/// Why Sheaf could not do what it was asked, where the broker is not to blame.
public struct SheafError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable {
        private enum Value {
            case notFound, alreadyExists, alreadyFinished, cancelled, timedOut, invalid, interrupted, notNow
        }
        private let value: Value

        private init(_ value: Value) { self.value = value }

        /// There is no such batch, or there is none at all.
        public static let notFound = Code(.notFound)
        /// A batch of that id exists.
        public static let alreadyExists = Code(.alreadyExists)
        /// The batch has ended, so there is nothing to cancel.
        public static let alreadyFinished = Code(.alreadyFinished)
        /// Somebody cancelled the batch.
        public static let cancelled = Code(.cancelled)
        /// It took longer than allowed.
        public static let timedOut = Code(.timedOut)
        /// The request makes no sense.
        public static let invalid = Code(.invalid)
        /// The creator of the batch died before it had published everything.
        public static let interrupted = Code(.interrupted)
        /// The batch does not allow it in the state it is in; the message says what has to be done first.
        public static let notNow = Code(.notNow)
    }

    /// The kind.
    public let code: Code
    /// What happened and what to do, for people.
    public let message: String

    /// Makes an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
