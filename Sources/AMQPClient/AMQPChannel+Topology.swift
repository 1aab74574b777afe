extension AMQPChannel {
    /// Declares a queue, or with `passive` only asks whether it exists.
    ///
    /// - Parameter name: The name, or an empty one for the broker to choose.
    /// - Throws: `channelClosed` with 404 (passive, no such queue), 405 (exclusive to another connection) or
    ///   406 (declared before with other arguments).
    @discardableResult
    public func declareQueue(
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
        let reply = try await self.connection.call(.queueDeclare(declaration), on: self)
        guard case .queueDeclareOk(let status) = reply else { throw AMQPConnection.unexpected(reply) }
        return status
    }

    /// Deletes a queue and returns the number of messages it held; a queue that does not exist is no error.
    @discardableResult
    public func deleteQueue(
        _ name: String,
        ifUnused: Bool = false,
        ifEmpty: Bool = false
    ) async throws(AMQPError) -> Int {
        let method = OutboundMethod.queueDelete(name, ifUnused: ifUnused, ifEmpty: ifEmpty)
        let reply = try await self.connection.call(method, on: self)
        guard case .queueDeleteOk(let count) = reply else { throw AMQPConnection.unexpected(reply) }
        return count
    }

    /// Removes the ready messages of a queue and returns their number.
    @discardableResult
    public func purgeQueue(_ name: String) async throws(AMQPError) -> Int {
        let reply = try await self.connection.call(.queuePurge(name), on: self)
        guard case .queuePurgeOk(let count) = reply else { throw AMQPConnection.unexpected(reply) }
        return count
    }

    /// Binds a queue to an exchange.
    public func bindQueue(
        _ name: String,
        to exchange: String,
        routingKey: String,
        arguments: AMQPTable = AMQPTable()
    ) async throws(AMQPError) {
        let binding = QueueBinding(queue: name, exchange: exchange, routingKey: routingKey, arguments: arguments)
        _ = try await self.connection.call(.queueBind(binding), on: self)
    }

    /// Removes a binding of a queue to an exchange.
    public func unbindQueue(
        _ name: String,
        from exchange: String,
        routingKey: String,
        arguments: AMQPTable = AMQPTable()
    ) async throws(AMQPError) {
        let binding = QueueBinding(queue: name, exchange: exchange, routingKey: routingKey, arguments: arguments)
        _ = try await self.connection.call(.queueUnbind(binding), on: self)
    }

    /// Declares an exchange, or with `passive` only asks whether it exists.
    public func declareExchange(
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
        _ = try await self.connection.call(.exchangeDeclare(declaration), on: self)
    }

    /// Deletes an exchange; one that does not exist is no error.
    public func deleteExchange(_ name: String, ifUnused: Bool = false) async throws(AMQPError) {
        _ = try await self.connection.call(.exchangeDelete(name, ifUnused: ifUnused), on: self)
    }
}
