import AMQPClient
import SheafBroker

/// The locks of this process: the broker gives an exclusive queue to its own connection as often as it asks.
actor LockTable {
    private nonisolated let slot: ConnectionSlot
    private var locks: [String: RabbitMQLock] = [:]
    private var pending: Set<String> = []

    init(_ slot: ConnectionSlot) { self.slot = slot }

    /// Takes a lock, or returns nil where another process or task holds it or is about to take it.
    func acquire(_ name: String) async throws -> RabbitMQLock? {
        guard pending.insert(name).inserted else { return nil }
        defer { pending.remove(name) }
        if let lock = locks[name], await lock.isHeld { return nil }
        let channel = try await slot.openChannel()
        do {
            try await channel.declareQueue(name, durable: false, exclusive: true)
        } catch {
            if error.isReply(405) { return nil }
            if error.isConnectionGone { await slot.forget(channel.connection) }
            if error.code != .channelClosed, !error.isConnectionGone { await channel.abandon() }
            throw error
        }
        await channel.abandon()
        let lock = RabbitMQLock(name: name, connection: channel.connection)
        // Those of lost connections and those that were released; they would be kept for as long as this process lives.
        for (name, earlier) in locks where await !earlier.isHeld { if locks[name] === earlier { locks[name] = nil } }
        locks[name] = lock
        return lock
    }
}
