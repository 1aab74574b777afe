import AMQPClient
public import SheafBroker

extension RabbitMQBroker {
    /// Takes a lock, which is an exclusive queue of that name, for as long as the consuming connection lives.
    public func acquireLock(_ name: String) async throws -> (any BrokerLock)? {
        try QueueArguments.check(name: name)
        return try await perform("taking the lock '\(name)'") { try await lockTable.acquire(name) }
    }

    /// Tells whether somebody holds a lock, this process included.
    public func isLocked(_ name: String) async throws -> Bool {
        try QueueArguments.check(name: name)
        return try await perform("asking for the lock '\(name)'") {
            do {
                // Not on the connection that holds this process's own: that one would be let in.
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
