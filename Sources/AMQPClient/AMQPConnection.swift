/// A single-use connection to a broker: after it is closed or lost, it cannot be reopened.
///
/// Each connection has its own thread, which is also the executor of this actor. Use one connection to publish and
/// another to consume: a broker short of memory stops reading from connections that publish, and acknowledgements sent
/// on the same connection would be delayed too. The thread keeps the connection alive until it is closed or lost.
package actor AMQPConnection {
    enum Phase {
        case connecting
        case open
        /// `connection.close` was queued, and the answer is awaited until the deadline.
        case closing(deadline: ContinuousClock.Instant)
        /// Lost with an error, or closed by this process without one.
        case closed(AMQPError?)
    }

    /// The number of this connection in the process; later connections have higher numbers.
    package nonisolated let epoch: UInt64

    /// The configuration it was opened with.
    package nonisolated let configuration: AMQPConfiguration

    /// The broker's description of itself, such as its product and version.
    package private(set) var serverProperties = AMQPTable()

    /// The reason why the broker currently accepts no messages on this connection, or nil if it accepts them.
    package internal(set) var blockedReason: String?

    nonisolated let loop: EventLoopThread
    nonisolated let socketGuard = SocketGuard()
    var library: LibraryHandle?
    var phase = Phase.connecting
    var channels = ChannelTable()
    /// Methods to write, in order.
    var control = FIFO<(channel: UInt16, method: OutboundMethod)>()
    /// Channels with acknowledgements to write.
    var acknowledging: [ChannelState] = []
    /// Calls with messages to write, in order.
    var outbox = FIFO<PublishCall>()
    /// A message whose body is not completely written; nothing else can be written before its end.
    var partialBody: PartialBody?
    var budget = WriteBudget()
    /// All unfinished calls of `publish`, oldest first, and some finished ones.
    var publishCalls = FIFO<PublishCall>()
    var unfinishedPublishCalls = 0
    /// Consumers that received deliveries since their waiting tasks were last resumed.
    var touchedConsumers: [ConsumerState] = []
    private var closeWaiters: [UInt64: CheckedContinuation<AMQPError?, Never>] = [:]
    private var lastTicket: UInt64 = 0
    var nextTick = ContinuousClock.now

    /// The thread of this connection, which runs everything isolated to it.
    package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(configuration: AMQPConfiguration) throws(AMQPError) {
        self.configuration = configuration
        self.epoch = IdentitySource.connections.next()
        self.loop = try EventLoopThread()
    }

    /// Connects and logs in.
    ///
    /// - Throws: `connectionFailed`, `untrusted`, `accessRefused`, `invalidArgument` or `cancelled`, within
    ///   the configured time limits.
    package static func connect(_ configuration: AMQPConfiguration) async throws(AMQPError) -> AMQPConnection {
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
    package var serverVersion: String? { serverProperties["version"]?.string }

    /// Whether the broker currently accepts no messages on this connection.
    package var isBlocked: Bool { blockedReason != nil }

    /// Whether the connection can be used.
    package var isOpen: Bool { if case .open = phase { true } else { false } }

    /// Opens a channel.
    package func openChannel() async throws(AMQPError) -> AMQPChannel {
        let library = try usableLibrary()
        let channel = try channels.add(limit: library.channelMax)
        _ = try await call(.channelOpen, on: channel)
        return AMQPChannel(connection: self, number: channel.number, id: channel.id)
    }

    /// Sends queued methods and closes the connection; shuts the socket down if that takes longer than `closeTimeout`.
    ///
    /// Pending calls fail with `closed`. Closing a closed connection has no effect.
    package nonisolated func close() async {
        let limit = configuration.closeTimeout + .milliseconds(500)
        let socketGuard = self.socketGuard
        // Frees a thread that is stuck in a write, which only another thread can do.
        let watchdog = Task {
            do { try await Task.sleep(for: limit) } catch { return }
            socketGuard.cut()
        }
        await closeGracefully()
        watchdog.cancel()
    }

    /// Shuts the socket down at once, without the closing handshake, for use if the broker does not answer.
    ///
    /// Returns before the connection has ended; pending calls then fail with `connectionLost`.
    package nonisolated func cut() { socketGuard.cut() }

    /// Waits until the connection is closed or lost; returns nil if it was closed by this process.
    ///
    /// Also returns if the waiting task is cancelled, with the error `cancelled`.
    package func waitUntilClosed() async -> AMQPError? {
        let ticket = nextTicket()
        return await withTaskCancellationHandler {
            await awaitClosure(ticket)
        } onCancel: {
            onLoop { connection in
                connection.closeWaiters.removeValue(forKey: ticket)?
                    .resume(returning: AMQPError(.cancelled, "the task waiting for closure was cancelled"))
            }
        }
    }

    /// Runs a closure asynchronously on the thread of the connection.
    nonisolated func onLoop(_ body: @escaping @Sendable (isolated AMQPConnection) -> Void) {
        Task { await body(self) }
    }

    /// Returns a number that identifies a wait on this connection.
    func nextTicket() -> UInt64 {
        lastTicket += 1
        return lastTicket
    }

    /// Connects and logs in, which blocks only the thread of this connection.
    func open() -> Result<Void, AMQPError> {
        do throws(AMQPError) {
            let library = try LibraryHandle()
            self.library = library
            try library.open(configuration, guardedBy: socketGuard)
            serverProperties = try library.logIn(configuration)
            phase = .open
            return .success(())
        } catch {
            finish(error)
            return .failure(error)
        }
    }

    /// Starts the closing handshake and waits for its end, which has a deadline.
    func closeGracefully() async {
        if case .open = phase {
            queueAcknowledgements()
            control.append((0, .connectionClose))
            phase = .closing(deadline: .now + configuration.closeTimeout)
            failEverything(Self.closedHere)
        }
        _ = await awaitClosure(nil)
    }

    /// Waits for the end of the connection; with a ticket, the wait can be cancelled.
    func awaitClosure(_ ticket: UInt64?) async -> AMQPError? {
        if case .closed(let error) = phase { return error }
        if ticket != nil, Task.isCancelled {
            return AMQPError(.cancelled, "the task waiting for closure was cancelled")
        }
        let ticket = ticket ?? nextTicket()
        return await withCheckedContinuation { closeWaiters[ticket] = $0 }
    }

    /// Ends the connection: with an error if it is lost, without one if this process closed it.
    func finish(_ error: AMQPError?) {
        if case .closed = phase { return }
        // An error after `connection.close` was queued is not a loss of the connection.
        let isOurs = if case .closing = phase { true } else { false }
        let reason = isOurs ? nil : error
        phase = .closed(reason)
        socketGuard.release()
        library = nil
        control = FIFO()
        partialBody = nil
        blockedReason = nil
        failEverything(reason ?? Self.closedHere)
        for channel in channels.all { channels.remove(channel) }
        let waiters = closeWaiters.values
        closeWaiters = [:]
        for waiter in waiters { waiter.resume(returning: reason) }
    }

    private func failEverything(_ reason: AMQPError) {
        for channel in channels.all { channel.fail(reason) }
        for call in publishCalls.drain() { finish(call, reason) }
        outbox = FIFO()
        touchedConsumers = []
        acknowledging = []
    }
}
