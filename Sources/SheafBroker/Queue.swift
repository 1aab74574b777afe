public import SheafCore

/// The name and the kind of a queue.
public struct QueueDeclaration: Sendable, Equatable {
    /// What a queue is for, which decides how a broker stores it and when a message leaves it.
    public enum Kind: Sendable, Equatable {
        /// A queue of messages that are each processed once.
        ///
        /// - `deliveryLimit`: The number of redeliveries, at least 0. After N returns (or lost holders) a message is
        ///   delivered again; the next return moves it to the dead letters.
        /// - `deadLetter`: Where messages go that exceed the limit or are rejected. The target must exist. Without a
        ///   target they are dropped.
        /// - `acceptsDelayed`: Whether ``Broker/publish(_:to:after:)`` is used with this queue.
        case work(deliveryLimit: Int, deadLetter: DeadLetterTarget? = nil, acceptsDelayed: Bool = false)
        /// A queue of interchangeable tokens, which are taken and returned any number of times.
        ///
        /// - `deadLetter`: Where rejected tokens go. The target must exist. Without a target they are dropped.
        case tokens(deadLetter: DeadLetterTarget? = nil)
        /// A queue without consumers, in which each message stays for a fixed time.
        ///
        /// - `lifetime`: How long a message stays: whole milliseconds, at least zero, measured by the broker.
        ///   Forwarding adds to it.
        /// - `then`: The queue that a message moves to afterwards.
        ///
        /// Its ``QueueStatus`` is unspecified.
        case waitingRoom(lifetime: Duration, then: String)
    }

    /// Where messages go that exceed the delivery limit or are rejected.
    public enum DeadLetterTarget: Sendable, Equatable {
        /// Another queue.
        case queue(String)
        /// A log.
        case log(String)
    }

    /// The name, at most 233 bytes.
    public var name: String
    /// What the queue is for.
    public var kind: Kind

    /// Creates a declaration.
    public init(name: String, kind: Kind) {
        self.name = name
        self.kind = kind
    }
}

/// The current size of a queue.
public struct QueueStatus: Sendable, Equatable {
    /// The number of messages ready for a consumer; excludes messages that are held or delayed.
    public var ready: Int
    /// The number of consumers.
    public var consumers: Int

    /// Creates a status.
    public init(ready: Int, consumers: Int) {
        self.ready = ready
        self.consumers = consumers
    }
}

/// A running subscription to a queue, used by one task at a time.
public protocol QueueConsumer: Sendable {
    /// Returns all deliveries that have arrived, or waits for the next; returns nil after ``cancel()``.
    ///
    /// - Throws: `queueGone` if the queue was deleted, `connectionLost` if the subscription ended for any other reason,
    ///   and `CancellationError`.
    func next() async throws -> [Delivery]?
    /// Ends the subscription and returns the deliveries that had arrived but were not returned by ``next()``.
    ///
    /// Nothing arrives afterwards. The returned deliveries, and those handed out before, must still be settled.
    func cancel() async throws -> [Delivery]
}

/// A message handed to a consumer, which must settle it.
public struct Delivery: Sendable, Equatable {
    /// Identifies a delivery to the broker that made it.
    public struct Token: Sendable, Hashable {
        /// The connection of the delivery; a token of an earlier connection settles nothing.
        public let epoch: UInt64
        /// The channel within the connection, if the broker has channels.
        public let channel: UInt64
        /// The number within the channel, or of the message.
        public let tag: UInt64

        /// Creates a token.
        public init(epoch: UInt64, channel: UInt64, tag: UInt64) {
            self.epoch = epoch
            self.channel = channel
            self.tag = tag
        }

        /// Compares the parts that differ most often first.
        public static func == (left: Token, right: Token) -> Bool {
            left.tag == right.tag && left.channel == right.channel && left.epoch == right.epoch
        }

        /// Hashes the tag and the channel; deliveries of two connections are hardly ever in one table.
        public func hash(into hasher: inout Hasher) {
            hasher.combine(tag &+ channel &<< 48)
        }
    }

    /// The message.
    public let message: Message
    /// The queue that delivered it.
    public let queue: String
    /// The number of earlier deliveries of the message: 0 for the first delivery.
    public let earlierDeliveries: Int
    /// Why and from which queue the message was dead-lettered, or nil if it was not.
    public let death: Death?
    /// Identifies the delivery when it is settled.
    public let token: Token

    /// Why and where a message was dead-lettered for the first time.
    public struct Death: Sendable, Equatable {
        /// The broker's word for the reason, such as `delivery_limit`.
        public let reason: String
        /// The queue that dead-lettered it first.
        public let queue: String

        /// Creates a death.
        public init(reason: String, queue: String) {
            self.reason = reason
            self.queue = queue
        }
    }

    /// Creates a delivery.
    public init(message: Message, queue: String, earlierDeliveries: Int, death: Death? = nil, token: Token) {
        self.message = message
        self.queue = queue
        self.earlierDeliveries = earlierDeliveries
        self.death = death
        self.token = token
    }
}

/// How a delivery ends.
public enum Settlement: Sendable, Equatable {
    /// The message is done and removed.
    case acknowledged
    /// The message returns to the head of the queue, is delivered again, and counts towards the delivery limit.
    ///
    /// Cancel the consumer first, or the message may come back to it immediately.
    case returned
    /// The message moves to the dead letters (reason `rejected`), or is dropped if the queue has none.
    case rejected
}
