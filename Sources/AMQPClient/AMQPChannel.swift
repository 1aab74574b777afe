/// A channel of a connection, on which queues are declared and messages are published, delivered and settled.
///
/// The broker closes a channel if it refuses a call, for instance with 404 or 406. Everything pending on the channel
/// then fails with that reply code, later calls throw `channelClosed`, and the connection stays open. A call that the
/// broker does not answer in time throws `timedOut`, or `blocked` if the broker has reported that it currently does not
/// read from the connection. If the late answer would hold messages, the channel is closed.
package struct AMQPChannel: Sendable {
    /// The connection it belongs to.
    package let connection: AMQPConnection
    /// Its number on the connection, which is reused after the channel is closed.
    package let number: UInt16
    /// Its identity, unique in the process.
    package let id: UInt64

    /// The epoch of its connection.
    package var epoch: UInt64 { connection.epoch }

    /// Whether a delivery arrived on this channel, so that it can be settled here.
    package func delivered(_ delivery: AMQPDelivery) -> Bool { delivery.channelID == id }

    /// Closes the channel; its unsettled deliveries return to their queues.
    ///
    /// Settlements made earlier are sent first. Closing a closed channel has no effect.
    package func close() async throws(AMQPError) {
        try await connection.close(self)
    }

    /// Closes the channel without waiting for the broker's answer, for use if the broker may not answer on it.
    package func abandon() async {
        await connection.abandon(self)
    }

    /// Declares a queue, or with `passive` only checks that it exists.
    ///
    /// - Parameter name: The name, or an empty string to let the broker choose one.
    /// - Throws: `channelClosed` with 404 (passive, no such queue), 405 (exclusive to another connection) or
    ///   406 (already declared with other arguments).
    @discardableResult
    package func declareQueue(
        _ name: String,
        passive: Bool = false,
        durable: Bool = true,
        exclusive: Bool = false,
        autoDelete: Bool = false,
        arguments: AMQPTable = AMQPTable()
    ) async throws(AMQPError) -> AMQPQueueStatus {
        let declaration = QueueDeclaration(
            name: name,
            passive: passive,
            durable: durable,
            exclusive: exclusive,
            autoDelete: autoDelete,
            arguments: arguments
        )
        let reply = try await connection.call(.queueDeclare(declaration), on: self)
        guard case .queueDeclareOk(let status) = reply else { throw AMQPConnection.unexpected(reply) }
        return status
    }

    /// Deletes a queue and returns the number of messages it held; a queue that does not exist is not an error.
    @discardableResult
    package func deleteQueue(
        _ name: String,
        ifUnused: Bool = false,
        ifEmpty: Bool = false
    ) async throws(AMQPError) -> Int {
        let method = OutboundMethod.queueDelete(name, ifUnused: ifUnused, ifEmpty: ifEmpty)
        let reply = try await connection.call(method, on: self)
        guard case .queueDeleteOk(let count) = reply else { throw AMQPConnection.unexpected(reply) }
        return count
    }

    /// Removes the ready messages of a queue and returns their number.
    @discardableResult
    package func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        let reply = try await connection.call(.queuePurge(name), on: self)
        guard case .queuePurgeOk(let count) = reply else { throw AMQPConnection.unexpected(reply) }
        return count
    }

    /// Binds a queue to an exchange.
    package func bindQueue(
        _ name: String,
        to exchange: String,
        routingKey: String,
        arguments: AMQPTable = AMQPTable()
    ) async throws(AMQPError) {
        let binding = QueueBinding(queue: name, exchange: exchange, routingKey: routingKey, arguments: arguments)
        _ = try await connection.call(.queueBind(binding), on: self)
    }

    /// Removes a binding of a queue to an exchange.
    package func unbindQueue(
        _ name: String,
        from exchange: String,
        routingKey: String,
        arguments: AMQPTable = AMQPTable()
    ) async throws(AMQPError) {
        let binding = QueueBinding(queue: name, exchange: exchange, routingKey: routingKey, arguments: arguments)
        _ = try await connection.call(.queueUnbind(binding), on: self)
    }

    /// Declares an exchange, or with `passive` only checks that it exists.
    package func declareExchange(
        _ name: String,
        type: String,
        passive: Bool = false,
        durable: Bool = true,
        autoDelete: Bool = false,
        arguments: AMQPTable = AMQPTable()
    ) async throws(AMQPError) {
        let declaration = ExchangeDeclaration(
            name: name,
            type: type,
            passive: passive,
            durable: durable,
            autoDelete: autoDelete,
            arguments: arguments
        )
        _ = try await connection.call(.exchangeDeclare(declaration), on: self)
    }

    /// Deletes an exchange; one that does not exist is not an error.
    package func deleteExchange(_ name: String, ifUnused: Bool = false) async throws(AMQPError) {
        _ = try await connection.call(.exchangeDelete(name, ifUnused: ifUnused), on: self)
    }

    /// Makes the broker confirm messages published on this channel; must be called once before `publish`.
    package func enableConfirms() async throws(AMQPError) {
        _ = try await connection.call(.enableConfirms, on: self)
    }

    /// Publishes messages in order and returns when the broker has confirmed all of them.
    ///
    /// Many calls may be outstanding at once; each call waits once, whatever the number of its messages. A mandatory
    /// message should have a unique `messageID`: it distinguishes two returned messages to the same queue.
    ///
    /// - Parameters:
    ///   - messages: The messages; all are validated before the first one is sent.
    ///   - mandatory: Whether a message that cannot be routed to a queue is an error.
    /// - Throws: `invalidArgument` (nothing was sent), `returned` or `nacked` (see `failedMessages`), `blocked` or
    ///   `timedOut` (after the configured time-out; the outcome of sent messages is unknown), `channelClosed`,
    ///   `connectionLost`, `closed` or `cancelled`.
    package func publish(_ messages: [AMQPMessage], mandatory: Bool = false) async throws(AMQPError) {
        try await connection.publish(messages, mandatory: mandatory, on: self)
    }

    /// Sets the maximum number of unsettled deliveries of each consumer that is started after this call.
    ///
    /// - Parameter count: At least 1; a consumer cannot be started before the prefetch is set.
    package func setPrefetch(_ count: UInt16) async throws(AMQPError) {
        guard count > 0 else { throw AMQPError(.invalidArgument, "a prefetch of 0 would be unlimited") }
        _ = try await connection.call(.prefetch(count), on: self)
    }

    /// Starts a consumer on a queue; its deliveries must be settled.
    ///
    /// - Parameters:
    ///   - queue: The name of the queue.
    ///   - tag: A name for the consumer, unique on the channel, or nil to generate one.
    ///   - exclusive: Whether to be the only consumer of the queue.
    ///   - arguments: For instance `x-stream-offset` or `x-priority`.
    package func consume(
        _ queue: String,
        tag: String? = nil,
        exclusive: Bool = false,
        arguments: AMQPTable = AMQPTable()
    ) async throws(AMQPError) -> AMQPConsumer {
        try await connection.consume(queue, tag: tag, exclusive: exclusive, arguments: arguments, on: self)
    }

    /// Fetches one message from a queue; returns nil if no message is ready.
    package func get(_ queue: String) async throws(AMQPError) -> AMQPDelivery? {
        switch try await connection.call(.get(queue), on: self) {
        case .fetched(let delivery): delivery
        case .getEmpty: nil
        case let reply: throw AMQPConnection.unexpected(reply)
        }
    }

    /// Acknowledges deliveries of this channel in as few frames as possible.
    ///
    /// Returns when the acknowledgements are queued for the socket; the broker does not confirm them.
    ///
    /// - Throws: `invalidArgument` if a tag was never delivered here or is already settled; nothing is sent in this
    ///   case.
    package func acknowledge(_ tags: [UInt64]) async throws(AMQPError) {
        try await connection.acknowledge(tags, on: self)
    }

    /// Acknowledges every unsettled delivery of this channel up to and including a tag.
    package func acknowledge(upTo tag: UInt64) async throws(AMQPError) {
        try await connection.acknowledge(upTo: tag, on: self)
    }

    /// Rejects deliveries of this channel: they return to the queue, or go to the dead-letter exchange if there is one.
    ///
    /// AMQP cannot reject several deliveries at once, so each takes a frame. The frames are sent in the order of
    /// `tags`.
    ///
    /// - Throws: `invalidArgument` if a tag was never delivered here or is already settled; nothing is sent in this
    ///   case.
    package func reject(_ tags: [UInt64], requeue: Bool) async throws(AMQPError) {
        try await connection.reject(tags, requeue: requeue, on: self)
    }

    /// Refuses deliveries of this channel; unlike `reject`, RabbitMQ 4.3 and later do not count them as failures.
    ///
    /// Streams do not support it: the broker closes the whole connection with 540.
    package func nack(_ tags: [UInt64], requeue: Bool) async throws(AMQPError) {
        try await connection.nack(tags, requeue: requeue, on: self)
    }
}

/// The broker's report on a queue when it is declared.
package struct AMQPQueueStatus: Sendable, Hashable {
    /// The name, which the broker chose if none was given.
    package let name: String
    /// The number of ready messages, excluding unsettled deliveries.
    package let messageCount: Int
    /// The number of consumers.
    package let consumerCount: Int
}
