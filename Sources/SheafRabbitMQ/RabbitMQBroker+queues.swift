import AMQPClient
public import SheafBroker

extension RabbitMQBroker {
    /// Makes a quorum queue, or a classic one where there is no delivery limit.
    public func declareQueue(_ declaration: QueueDeclaration) async throws {
        let name = declaration.name
        if let lifetime = declaration.lifetime {
            guard lifetime >= .zero, case .queue = declaration.deadLetter else {
                throw BrokerError(.invalidArgument, "messages that wait for \(lifetime) need a queue to go to then")
            }
        }
        try QueueArguments.check(name: name)
        let arguments = QueueArguments.table(for: declaration)
        try await perform("declaring queue '\(name)'") {
            _ = try await control.withChannel { try await $0.declareQueue(name, arguments: arguments) }
            if declaration.acceptsDelayed { try await ladder.land(in: name) }
        }
    }

    /// Removes a queue and its messages.
    public func deleteQueue(_ name: String) async throws {
        try QueueArguments.check(name: name)
        try await perform("deleting queue '\(name)'") {
            _ = try await control.withChannel { try await $0.deleteQueue(name) }
        }
    }

    /// Drops the messages that wait in a queue and returns how many they were.
    @discardableResult
    public func purgeQueue(_ name: String) async throws -> Int {
        try QueueArguments.check(name: name)
        return try await perform("purging queue '\(name)'") {
            try await control.withChannel { try await $0.purgeQueue(name) }
        }
    }

    /// How many messages wait and how many consumers there are, or nil where there is no such queue.
    public func queueStatus(_ name: String) async throws -> QueueStatus? {
        try QueueArguments.check(name: name)
        return try await perform("asking for queue '\(name)'") {
            do {
                let status = try await control.withChannel { try await $0.declareQueue(name, passive: true) }
                return QueueStatus(ready: status.messageCount, consumers: status.consumerCount)
            } catch let error as AMQPError where error.isReply(404) && !error.isNotYetUp {
                return nil
            }
        }
    }
}
