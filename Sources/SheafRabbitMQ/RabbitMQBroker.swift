import AMQPClient
package import SheafBroker
package import SheafCore
import Synchronization

/// A broker on RabbitMQ: quorum queues, streams as logs, exclusive queues as locks.
///
/// Up to four connections, each opened when it is first needed and again after it was lost. One publishes and does
/// nothing else, because RabbitMQ stops reading from it while memory or disk space is short. One consumes, acknowledges
/// and holds the locks. One declares, deletes and queries. One publishes to topics, because the queues that other
/// programs bind may be slow, full or deleted at any time.
package final class RabbitMQBroker: Broker {
    let configuration: RabbitMQConfiguration
    let consuming: ConnectionSlot
    let control: ConnectionSlot
    let headers: BrokerHeaders
    private let publishing: ConnectionSlot
    private let publisher: PublishingChannel
    /// Separate, because publishing to an exchange that was removed closes the channel.
    private let delayer: PublishingChannel
    private let copying: ConnectionSlot
    /// Publishes to topics.
    let fanOut: PublishingChannel
    private let ladder: DelayLadder
    let deliveries: DeliveryRegistry
    private let lockTable: LockTable
    /// Set before the first connection is closed, so that every call that waits on one reports the right cause.
    private let hasClosed = Atomic(false)

    /// How long a copy may take to be confirmed: deleting a quorum queue can freeze the connection that publishes to it.
    private static let topicPatience = Duration.seconds(10)

    private init(_ configuration: RabbitMQConfiguration) {
        self.configuration = configuration
        self.consuming = ConnectionSlot(configuration.connection, purpose: "consuming")
        self.control = ConnectionSlot(configuration.connection, purpose: "control")
        self.publishing = ConnectionSlot(configuration.connection, purpose: "publishing")
        self.publisher = PublishingChannel(publishing)
        self.delayer = PublishingChannel(publishing)
        var topics = configuration.connection
        topics.publishTimeout = min(topics.publishTimeout, Self.topicPatience)
        self.copying = ConnectionSlot(topics, purpose: "fan-out")
        self.fanOut = PublishingChannel(copying)
        self.ladder = DelayLadder(control, namespace: configuration.namespace)
        self.deliveries = DeliveryRegistry(consuming)
        self.lockTable = LockTable(consuming)
        self.headers = BrokerHeaders(ladderPrefix: ladder.prefix)
    }

    /// Connects to a broker.
    ///
    /// Close it when it is no longer needed: its connections stay open on their own.
    /// - Throws: `BrokerError` if the broker is unreachable or refuses the user.
    package static func connect(_ configuration: RabbitMQConfiguration) async throws -> RabbitMQBroker {
        let broker = RabbitMQBroker(configuration)
        do {
            _ = try await broker.control.connection()
        } catch {
            await broker.close()
            throw error
        }
        return broker
    }

    /// Opens references such as `amqp://user:password@host:5672/vhost`, or `amqps://…` for TLS.
    package static let provider = BrokerProvider(schemes: ["amqp", "amqps"]) { reference, namespace in
        try await connect(RabbitMQConfiguration(url: reference.text, namespace: namespace))
    }

    /// The alarm that the broker reported to its publishers, or nil.
    package var blockedReason: String? { get async { await publishing.blockedReason } }

    /// The kind, address and version of the broker; asks the broker for its version.
    package var description: BrokerDescription {
        get async throws {
            let rules = ServerRules(version: try await control.connection().serverVersion ?? "unknown")
            return BrokerDescription(
                kind: "RabbitMQ",
                address: configuration.address,
                version: rules.version,
                notes: rules.notes
            )
        }
    }

    /// Closes all connections; what they held returns to its queues.
    package func close() async {
        hasClosed.store(true, ordering: .releasing)
        async let consumed: Void = consuming.close()
        async let controlled: Void = control.close()
        async let published: Void = publishing.close()
        async let copied: Void = copying.close()
        _ = await (consumed, controlled, published, copied)
    }

    /// Runs a call and maps the errors of the client.
    func perform<Value>(
        _ action: @autoclosure () -> String,
        _ body: () async throws -> Value
    ) async throws -> Value {
        do { return try await body() } catch { throw mapped(error, action()) }
    }

    /// Returns the broker layer's error for an error of the client.
    func mapped(_ error: any Error, _ action: String) -> any Error {
        isClosed(error) ? closedError : BrokerError.mapped(error, action)
    }

    /// Whether an error is the consequence of closing this broker.
    func isClosed(_ error: any Error) -> Bool {
        guard let error = error as? AMQPError else { return false }
        guard error.isConnectionGone || error.code == .channelClosed && error.replyCode == nil else {
            return false
        }
        return hasClosed.load(ordering: .acquiring)
    }

    var closedError: BrokerError {
        BrokerError(.closed, "the connections to \(configuration.address) were closed by this process")
    }
}

// MARK: - Queues

extension RabbitMQBroker {
    /// Declares a quorum queue for work, and a classic queue for tokens or a waiting room.
    package func declareQueue(_ declaration: QueueDeclaration) async throws {
        let name = declaration.name
        try QueueArguments.check(name: name)
        let arguments = try QueueArguments.table(for: declaration)
        try await perform("declaring queue '\(name)'", on: name) {
            _ = try await control.withChannel { try await $0.declareQueue(name, arguments: arguments) }
            if case .work(_, _, acceptsDelayed: true) = declaration.kind { try await ladder.land(in: name) }
        }
    }

    /// Deletes a queue and its messages.
    package func deleteQueue(_ name: String) async throws { try await delete(name, "deleting queue '\(name)'") }

    private func delete(_ name: String, _ action: String) async throws {
        try QueueArguments.check(name: name)
        do {
            try await perform(action, on: name) {
                _ = try await control.withChannel { try await $0.deleteQueue(name) }
            }
        } catch let error as BrokerError where error.code == .notFound {
            // Another process deleted it while it was not available.
        }
    }

    /// Drops the ready messages of a queue and returns their number.
    @discardableResult
    package func purgeQueue(_ name: String) async throws -> Int {
        try QueueArguments.check(name: name)
        return try await perform("purging queue '\(name)'", on: name) {
            try await control.withChannel { try await $0.purgeQueue(name) }
        }
    }

    /// Returns the number of ready messages and of consumers, or nil if the queue does not exist.
    package func queueStatus(_ name: String) async throws -> QueueStatus? {
        try QueueArguments.check(name: name)
        do {
            return try await perform("querying queue '\(name)'", on: name) {
                let status = try await control.withChannel { try await $0.declareQueue(name, passive: true) }
                return QueueStatus(ready: status.messageCount, consumers: status.consumerCount)
            }
        } catch let error as BrokerError where error.code == .notFound {
            return nil
        }
    }
}

// MARK: - Publishing

extension RabbitMQBroker {
    /// Publishes messages to a queue and returns once all are confirmed.
    package func publish(_ messages: [Message], to queue: String) async throws {
        try await publish(messages, to: queue, as: "publishing to queue '\(queue)'")
    }

    /// Appends messages to a stream and returns once all are confirmed.
    package func append(_ messages: [Message], to log: String) async throws {
        try await publish(messages, to: log, as: "appending to log '\(log)'")
    }

    private func publish(_ messages: [Message], to name: String, as action: @autoclosure () -> String) async throws {
        try QueueArguments.check(name: name)
        guard !messages.isEmpty else { return }
        try check(sizesOf: messages)
        // Not repeated here: some of the messages may have arrived, and the caller decides about duplicates.
        try await perform(action(), on: name, isRepeatable: false) {
            try await publisher.publish(messages.map { $0.amqp(routingKey: name) })
        }
    }

    /// Publishes a message after a delay, rounded up to 125 ms times a power of two.
    ///
    /// The queue must have been declared as one that accepts delayed messages. Otherwise, or if it is deleted in the
    /// meantime, the broker drops the message when the delay is over.
    package func publish(_ message: Message, to queue: String, after delay: Duration) async throws {
        guard delay > .zero else { return try await publish([message], to: queue) }
        try QueueArguments.check(name: queue)
        try check(sizesOf: [message])
        let step = try DelayStep(for: delay)
        try await perform("publishing to queue '\(queue)' after \(delay)", on: queue) {
            try await ladder.prepare(step)
            let message = ladder.message(message, to: queue, by: step)
            do {
                try await delayer.publish([message])
            } catch let error as AMQPError where error.code == .returned || error.isReply(404) {
                // The step was removed since this process declared it.
                await ladder.forget()
                try await ladder.prepare(step)
                try await delayer.publish([message])
            }
        }
    }

    private func check(sizesOf messages: [Message]) throws {
        let limit = configuration.maximumMessageBytes
        for message in messages where message.body.count > limit {
            throw BrokerError(.tooLarge, "a message of \(message.body.count) bytes exceeds the maximum of \(limit)")
        }
    }
}

// MARK: - Consuming

extension RabbitMQBroker {
    /// Starts a consumer on a channel of its own.
    ///
    /// A queue that is not available is an error at once, because its caller has other queues to consume from.
    package func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer {
        try QueueArguments.check(name: queue)
        guard prefetch > 0 else { throw BrokerError(.invalidArgument, "a prefetch of \(prefetch) is less than 1") }
        return try await perform("consuming queue '\(queue)'", on: queue, mayWait: false) {
            () async throws -> RabbitMQConsumer in
            let channel = try await deliveries.open()
            do throws(AMQPError) {
                try await channel.channel.setPrefetch(UInt16(clamping: prefetch))
                let consumer = try await channel.channel.consume(queue)
                return RabbitMQConsumer(queue: queue, consumer: consumer, channel: channel, broker: self)
            } catch {
                await retire(channel)
                await deliveries.remove(channel)
                throw error
            }
        }
    }

    /// Takes one message, or returns nil if the queue is empty; a queue that is not available is an error at once.
    package func get(_ queue: String) async throws -> Delivery? {
        try QueueArguments.check(name: queue)
        return try await perform("getting from queue '\(queue)'", on: queue, mayWait: false) {
            () async throws -> Delivery? in
            do {
                return try await getOnce(queue)
            } catch let error as AMQPError where error.code == .channelClosed && error.suspicion == nil {
                // It was closed before this call, for example after a late acknowledgement; a new one decides.
                return try await getOnce(queue)
            }
        }
    }

    private func getOnce(_ queue: String) async throws -> Delivery? {
        let channel = try await deliveries.channel(getting: queue)
        do throws(AMQPError) {
            guard let delivery = try await channel.channel.get(queue) else { return nil }
            await channel.hold([delivery])
            return headers.delivery(delivery, from: queue)
        } catch {
            if error.code != .cancelled { await deliveries.remove(channel, getting: queue) }
            if error.isConnectionGone { await consuming.forget(channel.channel.connection) }
            throw error
        }
    }

    /// Settles deliveries, each on its own channel; skips those of lost channels.
    package func settle(_ deliveries: [Delivery.Token], as settlement: Settlement) async throws {
        var tags: [UInt64: [UInt64]] = [:]
        for delivery in deliveries { tags[delivery.channel, default: []].append(delivery.tag) }
        for (number, tags) in tags {
            guard let channel = await self.deliveries.channel(number) else { continue }
            try await perform("settling deliveries") {
                if try await channel.settle(tags, as: settlement) { await self.deliveries.remove(channel) }
            }
        }
    }

    /// Closes a channel on which nothing more arrives, once the last of its deliveries is settled.
    func retire(_ channel: DeliveryChannel) async {
        if await channel.retire() { await deliveries.remove(channel) }
    }

    /// Cleans up after a consumer that the broker or the connection ended.
    func consumerEnded(on channel: DeliveryChannel, with error: AMQPError) async {
        switch error.code {
        case .cancelled: return
        // The channel can still settle what was handed out.
        case .consumerCancelled: await retire(channel)
        default:
            if error.isConnectionGone { await consuming.forget(channel.channel.connection) }
            await deliveries.remove(channel)
        }
    }
}

// MARK: - Logs

extension RabbitMQBroker {
    /// Declares a stream.
    package func declareLog(_ declaration: LogDeclaration) async throws {
        let name = declaration.name
        try QueueArguments.check(name: name)
        let arguments = QueueArguments.table(for: declaration)
        try await perform("declaring log '\(name)'", on: name) {
            do {
                _ = try await control.withChannel { try await $0.declareQueue(name, arguments: arguments) }
            } catch let error as AMQPError where error.isReply(406) && error.message.contains("size-bytes'") {
                // It is a stream of another size.
            } catch let error as AMQPError where error.isReply(406) && error.message.contains("length-bytes'") {
                // The same.
            }
        }
    }

    /// Deletes a stream.
    package func deleteLog(_ name: String) async throws { try await delete(name, "deleting log '\(name)'") }

    /// Returns the offset after a mark that it appends.
    ///
    /// RabbitMQ does not report the end of a stream over AMQP 0-9-1, and its message count lags by seconds.
    package func endOffset(of log: String) async throws -> Int64? {
        try QueueArguments.check(name: log)
        do {
            return try await perform("finding the end of log '\(log)'", on: log) {
                let publisher = publisher
                return try await LogEnd.find(
                    log,
                    on: consuming,
                    within: configuration.connection.rpcTimeout,
                    publish: { try await publisher.publish([$0]) }
                )
            }
        } catch let error as BrokerError where error.code == .notFound {
            return nil
        }
    }

    /// Reads a stream from a position and continues with what is appended.
    package func read(_ log: String, from position: LogPosition) async throws -> any LogReader {
        try QueueArguments.check(name: log)
        return try await perform("reading log '\(log)'", on: log) {
            try await RabbitMQLogReader.open(log, from: position, broker: self)
        }
    }
}

// MARK: - Locks

extension RabbitMQBroker {
    /// Acquires a lock, which is an exclusive queue of that name, for the lifetime of the consuming connection.
    package func acquireLock(_ name: String) async throws -> (any BrokerLock)? {
        try QueueArguments.check(name: name)
        return try await perform("acquiring lock '\(name)'") { try await lockTable.acquire(name) }
    }

    /// Returns whether a lock is held, by this process or another.
    package func isLocked(_ name: String) async throws -> Bool {
        try QueueArguments.check(name: name)
        return try await perform("querying lock '\(name)'") {
            do {
                // Not on the connection that holds this process's own locks: it has access to them.
                _ = try await control.withChannel { try await $0.declareQueue(name, passive: true) }
                return false
            } catch let error as AMQPError where error.isReply(405) {
                return true
            } catch let error as AMQPError where error.isReply(404) {
                return false
            }
        }
    }
}
