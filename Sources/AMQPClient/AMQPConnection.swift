/// A connection to a broker, for one use: once closed or lost it stays so.
///
/// Each connection has a thread of its own, which is also the executor of this actor. Use one connection to publish and
/// another to consume: a broker short of memory stops reading from connections that publish, and acknowledgements sent
/// on the same connection would wait with it. The thread keeps the connection alive until it is closed or lost.
public actor AMQPConnection {
    enum Phase {
        case connecting
        case open
        /// We said goodbye and wait for the answer until the deadline.
        case closing(deadline: ContinuousClock.Instant)
        /// Over: lost with an error, or closed here without.
        case closed(AMQPError?)
    }

    /// The number of this connection in the process; later connections have higher ones.
    public nonisolated let epoch: UInt64

    /// What it was connected with.
    public nonisolated let configuration: AMQPConfiguration

    /// What the broker says about itself.
    public internal(set) var serverProperties = AMQPTable()

    /// Why the broker takes no messages on this connection for now, or nil while it does.
    public internal(set) var blockedReason: String?

    nonisolated let loop: EventLoopThread
    nonisolated let socketGuard = SocketGuard()
    var library: LibraryHandle?
    var phase = Phase.connecting
    var channels = ChannelTable()
    /// Methods to write, in their order.
    var control = FIFO<(channel: UInt16, method: OutboundMethod)>()
    /// Channels with acknowledgements to write.
    var acknowledging: [ChannelState] = []
    /// Calls with messages to write, in their order.
    var outbox = FIFO<PublishCall>()
    /// A message of which the body is not written completely; nothing else can be written until it is.
    var partialBody: PartialBody?
    var budget = WriteBudget()
    /// All calls of `publish` that are not done, oldest first, and some that are.
    var publishCalls = FIFO<PublishCall>()
    var unfinishedPublishCalls = 0
    /// Consumers to look at after a batch of frames.
    var touchedConsumers: [ConsumerState] = []
    var closeWaiters: [UInt64: CheckedContinuation<AMQPError?, Never>] = [:]
    var lastTicket: UInt64 = 0
    var nextTick = ContinuousClock.now

    /// The thread of this connection, which runs everything isolated to it.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { self.loop.asUnownedSerialExecutor() }

    init(configuration: AMQPConfiguration) throws(AMQPError) {
        self.configuration = configuration
        self.epoch = IdentitySource.connections.next()
        self.loop = try EventLoopThread()
    }

    /// Connects and logs in.
    ///
    /// - Throws: `connectionFailed`, `untrusted`, `accessRefused`, `invalidArgument` or `cancelled`, within the configured limits.
    public static func connect(_ configuration: AMQPConfiguration) async throws(AMQPError) -> AMQPConnection {
        try configuration.validate()
        let connection = try AMQPConnection(configuration: configuration)
        try connection.loop.serve(connection)
        let result = await withTaskCancellationHandler {
            await connection.open()
        } onCancel: {
            connection.socketGuard.cut()
        }
        do throws(AMQPError) {
            try result.get()
        } catch {
            throw Task.isCancelled ? AMQPError(.cancelled, "the task that connects was cancelled") : error
        }
        return connection
    }

    /// The version of the broker, such as `3.10.8`.
    public var serverVersion: String? { self.serverProperties["version"]?.string }

    /// Whether the broker takes no messages on this connection for now.
    public var isBlocked: Bool { self.blockedReason != nil }

    /// Whether the connection can be used.
    public var isOpen: Bool { if case .open = self.phase { true } else { false } }

    /// Opens a channel.
    public func openChannel() async throws(AMQPError) -> AMQPChannel {
        let library = try self.usableLibrary()
        let channel = try self.channels.add(limit: library.channelMax)
        _ = try await self.call(.channelOpen, on: channel)
        return AMQPChannel(connection: self, number: channel.number, id: channel.id)
    }

    /// Sends what is queued, says goodbye and closes; cuts the socket if that takes longer than configured.
    ///
    /// What is still pending fails with `closed`. Closing a closed connection does nothing.
    public nonisolated func close() async {
        let limit = self.configuration.closeTimeout + .milliseconds(500)
        let socketGuard = self.socketGuard
        // For a thread that is stuck in a write, which nothing on that thread could free.
        let watchdog = Task {
            do { try await Task.sleep(for: limit) } catch { return }
            socketGuard.cut()
        }
        await self.sayGoodbye()
        watchdog.cancel()
    }

    /// Cuts the socket at once, without a goodbye: for a connection on which the broker does not answer.
    ///
    /// Returns before it has ended; what is pending then fails with `connectionLost`.
    public nonisolated func cut() { self.socketGuard.cut() }

    /// Waits until the connection is closed or lost; returns nil if it was closed by this process.
    ///
    /// Also returns, with `cancelled`, when the waiting task is cancelled.
    public func waitUntilClosed() async -> AMQPError? {
        let ticket = self.nextTicket()
        return await withTaskCancellationHandler {
            await self.awaitClosure(ticket)
        } onCancel: {
            self.onLoop { connection in
                connection.closeWaiters.removeValue(forKey: ticket)?
                    .resume(returning: AMQPError(.cancelled, "the task waiting for closure was cancelled"))
            }
        }
    }
}
