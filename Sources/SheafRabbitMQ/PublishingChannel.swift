import AMQPClient
import SheafBroker

/// A channel with confirms that any number of tasks publish on, opened when needed and again after it was lost.
actor PublishingChannel {
    /// The number of messages that one call keeps in flight before it waits for their confirms.
    private static let window = 2_000

    private nonisolated let slot: ConnectionSlot
    private var current: AMQPChannel?
    private var opening: Task<AMQPChannel, any Error>?

    init(_ slot: ConnectionSlot) { self.slot = slot }

    /// Publishes messages in order and returns once all are confirmed; if they are mandatory, each must reach a queue.
    ///
    /// Throws the client's errors. A connection that does not confirm in time is cut: it may be frozen permanently,
    /// which happens if a quorum queue is deleted while messages are published to it.
    nonisolated func publish(_ messages: [AMQPMessage], mandatory: Bool = true) async throws {
        var start = 0
        while start < messages.count {
            let end = min(start + Self.window, messages.count)
            let channel = try await channel()
            do {
                let part = messages.count <= Self.window ? messages : Array(messages[start..<end])
                try await channel.publish(part, mandatory: mandatory)
            } catch {
                await dispose(channel, after: error)
                throw error
            }
            start = end
        }
    }

    private func channel() async throws -> AMQPChannel {
        let connection = try await slot.connection()
        if let current, current.epoch == connection.epoch { return current }
        if let opening { return try await opening.value }
        let slot = slot
        let task = Task {
            let channel = try await slot.openChannel()
            try await channel.enableConfirms()
            return channel
        }
        opening = task
        defer { opening = nil }
        do {
            let channel = try await task.value
            current = channel
            return channel
        } catch let error as AMQPError {
            if error.code == .timedOut { await slot.abandon(connection) }
            throw error
        }
    }

    private func dispose(_ channel: AMQPChannel, after error: AMQPError) async {
        switch error.code {
        case .returned, .nacked, .blocked, .cancelled, .invalidArgument: return
        case .timedOut: await slot.abandon(channel.connection)
        case .channelClosed: break
        default: await slot.forget(channel.connection)
        }
        if current?.id == channel.id { current = nil }
    }
}
