package import SheafCore

/// A broker that can also publish to topics: it copies a message to every queue that any program has bound to its key.
///
/// This is a capability that a ``Broker`` may lack; ask with `as? any TopicBroker`. Publishing to topics never delays
/// the calls of ``Broker``, whatever the bound queues are like: it has a connection of its own.
package protocol TopicBroker: Broker {
    /// Declares a durable topic.
    ///
    /// - Throws: `mismatch` if the broker has something else of that name.
    func declareTopic(_ name: String) async throws
    /// Publishes a message and returns what happened to it, once the broker has confirmed that.
    func probe(_ message: TopicMessage, to topic: String) async throws -> TopicDelivery
    /// Publishes messages in order, and returns the indices of those that a bound queue refused.
    ///
    /// The other queues that are bound get those too. Messages that no queue is bound to are dropped.
    /// - Throws: `blocked`, `timedOut`, `connectionLost`; any subset of the messages may have arrived then.
    func publish(_ messages: [TopicMessage], toTopic topic: String) async throws -> [Int]
    /// Receives what is published to a topic from now on, until the consumer or this process ends.
    ///
    /// - Parameters:
    ///   - topic: The topic, which is declared if it does not exist.
    ///   - keys: The patterns of the keys: words separated by dots, `*` for any word, `#` for any number of words.
    ///   - limit: How many messages wait for the consumer at most; if there are more, the broker drops the oldest.
    func subscribe(to topic: String, keys: [String], limit: Int) async throws -> any QueueConsumer
}

/// A message with the key that decides which queues get it.
package struct TopicMessage: Sendable, Equatable {
    /// Words separated by dots, at most 255 bytes.
    package var key: String
    /// The message.
    package var message: Message

    package init(key: String, message: Message) {
        self.key = key
        self.message = message
    }
}

/// What happened to a message that was published to a topic.
package enum TopicDelivery: Sendable, Equatable {
    /// Every queue that is bound to its key has it.
    case delivered
    /// No queue is bound to its key.
    case unbound
    /// At least one queue that is bound to its key refused it, for example because it is full.
    case refused
}
