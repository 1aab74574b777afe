import AMQPClient
import SheafBroker

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
        // Where this fails the connection is gone, and the queue with it.
        guard let channel = try? await connection.openChannel() else { return }
        _ = try? await channel.deleteQueue(name)
        await channel.abandon()
    }
}
