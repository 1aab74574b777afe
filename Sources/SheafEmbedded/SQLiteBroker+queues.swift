public import SheafBroker
public import SheafCore

extension SQLiteBroker {
    /// Makes a queue; throws `mismatch` where a different one has the name.
    public func declareQueue(_ declaration: QueueDeclaration) async throws {
        try Argument.check(name: declaration.name)
        if let limit = declaration.deliveryLimit, limit < 0 {
            throw BrokerError(.invalidArgument, "a delivery limit of \(limit) makes no sense")
        }
        if let lifetime = declaration.lifetime {
            guard lifetime >= .zero, case .queue = declaration.deadLetter else {
                throw BrokerError(.invalidArgument, "messages that wait for \(lifetime) need a queue to go to then")
            }
        }
        try await writer.perform { try $0.declare(declaration) }
    }

    /// Removes a queue and its messages; a queue that does not exist is no error.
    public func deleteQueue(_ name: String) async throws {
        guard let id = try await writer.perform({ try $0.unname(queue: name) }) else { return }
        while try await writer.perform({ try $0.removeQueue(id) }) {}
    }

    /// Drops the messages that wait in a queue and returns how many they were.
    @discardableResult
    public func purgeQueue(_ name: String) async throws -> Int {
        let purged = try await writer.perform { try $0.purge(name) }
        if let keys = purged.keys {
            while try await writer.perform({ try $0.removeMessages(keys) }) {}
        }
        return purged.count
    }

    /// How many messages wait and how many consumers there are, or nil where there is no such queue.
    public func queueStatus(_ name: String) async throws -> QueueStatus? {
        try await reader.read { try $0.status(of: name) }
    }

    /// Puts messages into a queue, in order, and returns when all of them are in the file.
    public func publish(_ messages: [Message], to queue: String) async throws {
        try Argument.check(messages)
        try await writer.perform(rows: messages.count) { try $0.publish(messages, to: queue) }
    }

    /// Puts a message into a queue no sooner than after a delay, whatever is done to the clock on the wall meanwhile.
    public func publish(_ message: Message, to queue: String, after delay: Duration) async throws {
        try Argument.check([message])
        // One more, because the moment that is now lies within its millisecond.
        let due = clock.now + delay.milliseconds + 1
        try await writer.perform { transaction in
            if delay > .zero {
                try transaction.publish(message, to: queue, due: due)
            } else {
                try transaction.publish([message], to: queue)
            }
        }
    }

    /// Starts to receive from a queue with at most `prefetch` unsettled deliveries at a time.
    public func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer {
        guard prefetch > 0 else { throw BrokerError(.invalidArgument, "a prefetch of \(prefetch) makes no sense") }
        let holder = LeaseHolder(session: try await session.id, consumer: await session.nextNumber())
        let id = try await writer.perform { try $0.addConsumer(holder, of: queue) }
        let consumer = SQLiteConsumer(
            queue: id,
            name: queue,
            prefetch: prefetch,
            holder: holder,
            writer: writer,
            watcher: watcher,
            session: session
        )
        await session.add(consumer, number: holder.consumer)
        return consumer
    }

    /// Takes one message if there is one.
    public func get(_ queue: String) async throws -> Delivery? {
        let holder = LeaseHolder(session: try await session.id, consumer: 0)
        return try await writer.perform { transaction in
            let row = try QueueRow.required(queue, in: transaction)
            return try transaction.lease(row.id, atMost: 1, to: holder)?.first
        }
    }

    /// Ends deliveries; those of another connection are left out.
    public func settle(_ deliveries: [Delivery.Token], as settlement: Settlement) async throws {
        // Who has never received holds nothing.
        guard let id = await session.currentID else { return }
        let own = deliveries.filter { $0.epoch == UInt64(id) }
        let counts = try await writer.perform(rows: own.count) { try $0.settle(own, of: id, as: settlement) }
        for (number, count) in counts { await session.consumer(number)?.settled(count) }
    }
}
