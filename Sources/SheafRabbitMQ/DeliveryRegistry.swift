import AMQPClient
import SheafBroker

/// Finds the channel on which a delivery must be settled.
///
/// Channels have numbers that are unique in the process; those of lost connections are no longer found.
actor DeliveryRegistry {
    /// The number of `get` channels above which idle ones are closed.
    private static let mostSpareChannels = 64

    private nonisolated let slot: ConnectionSlot
    private var channels: [UInt64: DeliveryChannel] = [:]
    private var epoch: UInt64 = 0
    /// One channel for each queue: `get` on a deleted queue closes the channel and requeues everything held through it.
    private var gets: [String: DeliveryChannel] = [:]

    init(_ slot: ConnectionSlot) { self.slot = slot }

    /// Opens a channel for a consumer.
    func open() async throws -> DeliveryChannel {
        let channel = DeliveryChannel(try await slot.openChannel())
        if channel.channel.epoch > epoch {
            epoch = channel.channel.epoch
            channels = channels.filter { $0.value.channel.epoch == epoch }
            gets = gets.filter { $0.value.channel.epoch == epoch }
        }
        channels[channel.channel.id] = channel
        return channel
    }

    /// Returns the channel for `get` on a queue.
    func channel(getting queue: String) async throws -> DeliveryChannel {
        let connection = try await slot.connection()
        if let channel = gets[queue], channel.channel.epoch == connection.epoch { return channel }
        if gets.count >= Self.mostSpareChannels { await closeSpareChannels() }
        let channel = try await open()
        if let earlier = gets[queue], earlier.channel.epoch == channel.channel.epoch {
            // Two calls ran at once; this channel is closed again.
            if await channel.retire() { channels[channel.channel.id] = nil }
            return earlier
        }
        gets[queue] = channel
        return channel
    }

    /// Forgets a channel that was closed.
    func remove(_ channel: DeliveryChannel, getting queue: String? = nil) {
        channels[channel.channel.id] = nil
        if let queue, gets[queue] === channel { gets[queue] = nil }
    }

    /// Returns the channel of that number, or nil if it is gone.
    func channel(_ id: UInt64) -> DeliveryChannel? { channels[id] }

    private func closeSpareChannels() async {
        for (queue, channel) in gets where await channel.isIdle {
            guard gets[queue] === channel else { continue }
            gets[queue] = nil
            // A channel that received a delivery in the meantime closes when that is settled.
            if await channel.retire() { channels[channel.channel.id] = nil }
        }
    }
}
