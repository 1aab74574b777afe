import AMQPClient
import SheafBroker

/// A channel of the consuming connection with the deliveries that were handed out and not settled yet.
///
/// It stays open until the last of them is settled, since closing it would give them back.
actor DeliveryChannel {
    nonisolated let channel: AMQPChannel
    private var held: Set<UInt64> = []
    /// How many calls are sending settlements just now.
    private var sending = 0
    private var isRetired = false

    init(_ channel: AMQPChannel) { self.channel = channel }

    /// Whether nothing waits to be settled.
    var isIdle: Bool { held.isEmpty && sending == 0 }

    /// Notes deliveries as handed out.
    func hold(_ deliveries: [AMQPDelivery]) {
        for delivery in deliveries { held.insert(delivery.deliveryTag) }
    }

    /// Settles deliveries; leaves out those that are settled already.
    ///
    /// - Returns: Whether the channel has come to its end and was closed.
    func settle(_ tags: [UInt64], as settlement: Settlement) async throws -> Bool {
        let tags = tags.filter { held.remove($0) != nil }
        guard !tags.isEmpty else { return false }
        do {
            sending += 1
            defer { sending -= 1 }
            try await send(tags, settlement)
        } catch {
            guard error.isConnectionGone || error.code == .channelClosed else { throw error }
            // The broker has taken them back.
            held = []
            return true
        }
        return await closeIfDone()
    }

    /// Closes the channel as soon as all is settled; nothing new arrives on it.
    ///
    /// - Returns: Whether that was at once.
    func retire() async -> Bool {
        isRetired = true
        return await closeIfDone()
    }

    private func send(_ tags: [UInt64], _ settlement: Settlement) async throws(AMQPError) {
        switch settlement {
        case .acknowledged: try await channel.acknowledge(tags)
        // Not nack, which does not count towards the delivery limit from 4.3 on.
        case .returned: try await channel.reject(tags.sorted(), requeue: true)
        case .rejected: try await channel.reject(tags.sorted(), requeue: false)
        }
    }

    private func closeIfDone() async -> Bool {
        guard isRetired, held.isEmpty, sending == 0 else { return false }
        try? await channel.close()
        return true
    }
}
