/// What a queue is to be.
public struct QueueDeclaration: Sendable, Equatable {
    /// Where messages go that were returned more often than the limit allows.
    public enum DeadLetterTarget: Sendable, Equatable {
        /// Another queue.
        case queue(String)
        /// A log.
        case log(String)
    }

    /// The name, at most 233 bytes.
    public var name: String
    /// How often a message may come back: N returns (or lost holders) are delivered again, the next goes to the dead letters.
    ///
    /// Nil means without limit: the queue keeps tokens rather than work.
    public var deliveryLimit: Int?
    /// Where messages beyond the limit go; the target must exist, and without one they are dropped.
    public var deadLetter: DeadLetterTarget?
    /// Whether ``Broker/publish(_:to:after:)`` will be used with this queue.
    public var acceptsDelayed: Bool
    /// How long messages stay before they go to the dead letters, which must be a queue then; nil means until they are received.
    ///
    /// A queue with such a time is a waiting room: nobody may receive from it, and what it holds is in no status. Whole
    /// milliseconds, counted by the broker, and longer by what handing on takes.
    public var lifetime: Duration?

    /// Makes a declaration.
    public init(
        name: String,
        deliveryLimit: Int?,
        deadLetter: DeadLetterTarget? = nil,
        acceptsDelayed: Bool = false,
        lifetime: Duration? = nil
    ) {
        self.name = name
        self.deliveryLimit = deliveryLimit
        self.deadLetter = deadLetter
        self.acceptsDelayed = acceptsDelayed
        self.lifetime = lifetime
    }
}

/// What is in a queue at the moment.
public struct QueueStatus: Sendable, Equatable {
    /// How many messages wait for a consumer; those held by consumers and those delayed do not count.
    public var ready: Int
    /// How many consumers there are.
    public var consumers: Int

    /// Makes a status.
    public init(ready: Int, consumers: Int) {
        self.ready = ready
        self.consumers = consumers
    }
}
