import AMQPClient
public import SheafBroker
public import SheafCore

extension RabbitMQBroker {
    /// Makes a stream.
    public func declareLog(_ declaration: LogDeclaration) async throws {
        let name = declaration.name
        try QueueArguments.check(name: name)
        let arguments = QueueArguments.table(for: declaration)
        try await perform("declaring log '\(name)'") {
            do {
                _ = try await control.withChannel { try await $0.declareQueue(name, arguments: arguments) }
            } catch let error as AMQPError where error.isReply(406) && error.message.contains("size-bytes'") {
                // It is a stream, of another size.
            } catch let error as AMQPError where error.isReply(406) && error.message.contains("length-bytes'") {
                // The same.
            }
        }
    }

    /// Removes a stream.
    public func deleteLog(_ name: String) async throws {
        try QueueArguments.check(name: name)
        try await perform("deleting log '\(name)'") {
            _ = try await control.withChannel { try await $0.deleteQueue(name) }
        }
    }

    /// The offset behind a mark that it appends.
    ///
    /// RabbitMQ tells no end of a stream over AMQP 0-9-1, and its count of messages lags behind by seconds.
    public func endOffset(of log: String) async throws -> Int64? {
        try QueueArguments.check(name: log)
        return try await perform("asking for the end of log '\(log)'") {
            let consumer: AMQPConsumer
            do {
                // Before the mark, so that it is certain to come.
                consumer = try await consuming.readStream(log, from: .next, prefetch: 100)
            } catch let error as AMQPError where error.isReply(404) && !error.isNotYetUp {
                return nil
            }
            do {
                let end = try await end(of: log, seenBy: consumer)
                await consumer.channel.abandon()
                return end
            } catch {
                await consumer.channel.abandon()
                throw error
            }
        }
    }

    private func end(of log: String, seenBy consumer: AMQPConsumer) async throws -> Int64? {
        let id = (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined()
        do {
            try await publisher.publish([Message(id: id, type: Message.markType).amqp(routingKey: log)])
        } catch let error as AMQPError where error.code == .returned {
            return nil
        }
        let limit = configuration.connection.rpcTimeout
        return try await withThrowingTaskGroup(of: Int64?.self) { group in
            group.addTask { try await Self.end(markedBy: id, seenBy: consumer) }
            // The mark is confirmed; but a log may be trimmed so fast that it is never handed out.
            group.addTask {
                try await Task.sleep(for: limit)
                throw BrokerError(.timedOut, "the end of log '\(log)' did not arrive within \(limit)")
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    private static func end(markedBy id: String, seenBy consumer: AMQPConsumer) async throws -> Int64? {
        do {
            while let arrived = try await consumer.next(), let last = arrived.last {
                if let mark = arrived.first(where: { $0.properties.messageID == id }), let offset = mark.streamOffset {
                    return offset + 1
                }
                try await consumer.channel.acknowledge(upTo: last.deliveryTag)
            }
        } catch {
            guard error.code == .consumerCancelled else { throw error }
        }
        return nil
    }

    /// Appends messages to a stream and returns when all are confirmed.
    public func append(_ messages: [Message], to log: String) async throws {
        try await publish(messages, to: log, as: "appending to log '\(log)'")
    }

    /// Reads a stream from a position, and goes on with what is appended.
    public func read(_ log: String, from position: LogPosition) async throws -> any LogReader {
        try QueueArguments.check(name: log)
        return try await perform("reading log '\(log)'") {
            try await RabbitMQLogReader.open(log, from: position, broker: self)
        }
    }
}
