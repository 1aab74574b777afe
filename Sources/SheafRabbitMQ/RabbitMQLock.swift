import AMQPClient
import SheafBroker

/// The locks of this process.
///
/// Needed because the broker lets a connection declare its own exclusive queue any number of times.
actor LockTable {
    private nonisolated let slot: ConnectionSlot
    private var locks: [String: RabbitMQLock] = [:]
    private var pending: Set<String> = []

    init(_ slot: ConnectionSlot) { self.slot = slot }

    /// Acquires a lock, or returns nil if another process or task holds it or is acquiring it.
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
        // Drops locks of lost connections and released ones, which would otherwise accumulate.
        for (name, earlier) in locks where await !earlier.isHeld { if locks[name] === earlier { locks[name] = nil } }
        locks[name] = lock
        return lock
    }
}

/// An exclusive queue, which lives as long as the connection that declared it.
actor RabbitMQLock: BrokerLock {
    nonisolated let name: String
    private let connection: AMQPConnection
    private var isReleased = false

    init(name: String, connection: AMQPConnection) {
        self.name = name
        self.connection = connection
    }

    var isHeld: Bool {
        get async {
            guard !isReleased else { return false }
            return await connection.isOpen
        }
    }

    func release() async {
        guard !isReleased else { return }
        isReleased = true
        // If this fails the connection is gone, and the queue with it.
        guard let channel = try? await connection.openChannel() else { return }
        _ = try? await channel.deleteQueue(name)
        await channel.abandon()
    }
}
