public import SheafCore

/// A message handed to a consumer, which must settle it.
public struct Delivery: Sendable, Equatable {
    /// Says to the broker that gave it which delivery this is.
    public struct Token: Sendable, Hashable {
        /// The connection it came from; a token of an earlier one settles nothing.
        public let epoch: UInt64
        /// The channel within the connection, where there are such.
        public let channel: UInt64
        /// The number within the channel, or of the message.
        public let tag: UInt64

        /// Makes a token.
        public init(epoch: UInt64, channel: UInt64, tag: UInt64) {
            self.epoch = epoch
            self.channel = channel
            self.tag = tag
        }

        /// Compares first what differs most often.
        public static func == (left: Token, right: Token) -> Bool {
            left.tag == right.tag && left.channel == right.channel && left.epoch == right.epoch
        }

        /// Leaves out the connection: deliveries of two are hardly ever looked up together.
        public func hash(into hasher: inout Hasher) {
            hasher.combine(tag &+ channel &<< 48)
        }
    }

    /// The message.
    public let message: Message
    /// The queue it came from.
    public let queue: String
    /// How often it was delivered before this time: 0 at first.
    public let earlierDeliveries: Int
    /// Why it was dead-lettered, such as `delivery_limit`, and from which queue; nil where it was not.
    public let death: Death?
    /// Which delivery this is.
    public let token: Token

    /// How a message came to the dead letters.
    public struct Death: Sendable, Equatable {
        /// The broker's word for the reason, such as `delivery_limit`.
        public let reason: String
        /// The queue it died in first.
        public let queue: String

        /// Makes a death.
        public init(reason: String, queue: String) {
            self.reason = reason
            self.queue = queue
        }
    }

    /// Makes a delivery.
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
    /// Done: the message is gone.
    case acknowledged
    /// Given back: it is delivered again, at the queue's head, and counts towards the delivery limit.
    ///
    /// Cancel the consumer first, or the message may come straight back to it.
    case returned
    /// Refused: straight to the dead letters (reason `rejected`), or dropped where the queue has none.
    case rejected
}
