import AMQPClient
import SheafBroker

/// The place of one connection, which is made when it is needed and made again when it was lost.
///
/// All who ask while it is being made share the attempt; after a failure the next attempt waits a little, longer each time.
actor ConnectionSlot {
    private enum State {
        case idle
        case connecting(Task<AMQPConnection, any Error>)
        case open(AMQPConnection)
        case closed
    }

    private static let longestPause = Duration.seconds(2)

    private nonisolated let configuration: AMQPConfiguration
    private var state = State.idle
    private var failures = 0
    private var earliestAttempt = ContinuousClock.now
    /// Open channels for calls that leave nothing behind on a channel.
    private var spareChannels: [AMQPChannel] = []

    init(_ configuration: AMQPConfiguration, purpose: String) {
        var configuration = configuration
        configuration.connectionName += " \(purpose)"
        self.configuration = configuration
    }

    /// The connection, made now if there is none.
    func connection() async throws -> AMQPConnection {
        switch state {
        case .open(let connection): return connection
        case .connecting(let attempt): return try await attempt.value
        case .closed: throw closedError
        case .idle:
            let attempt = Task { try await connect() }
            state = .connecting(attempt)
            return try await attempt.value
        }
    }

    /// Opens a channel, on a new connection where the old one turns out to be gone.
    func openChannel() async throws -> AMQPChannel {
        let connection = try await connection()
        do {
            return try await connection.openChannel()
        } catch {
            guard error.isConnectionGone else { throw error }
            forget(connection)
            return try await self.connection().openChannel()
        }
    }

    /// Runs calls on a channel that nobody else uses meanwhile; a refusal by the broker costs that channel only.
    ///
    /// Asks again for some seconds where a queue exists but is not up yet.
    func withChannel<Value: Sendable>(
        _ body: sending (AMQPChannel) async throws -> Value
    ) async throws -> Value {
        let patience = ContinuousClock.now + .seconds(5)
        while true {
            let channel = if let spare = spareChannels.popLast() { spare } else { try await openChannel() }
            do {
                let value = try await body(channel)
                if case .open(let connection) = state, connection.epoch == channel.epoch {
                    spareChannels.append(channel)
                }
                return value
            } catch let error as AMQPError {
                await dispose(channel, after: error)
                guard error.isNotYetUp, ContinuousClock.now < patience else { throw error }
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    /// Cuts a connection that does not answer, so that the next call makes another.
    func abandon(_ connection: AMQPConnection) {
        forget(connection)
        // No goodbye: nobody would answer it, and whoever found out would wait for that, too.
        connection.cut()
    }

    /// Notes that a connection is of no use any more.
    func forget(_ connection: AMQPConnection) {
        guard case .open(let current) = state, current.epoch == connection.epoch else { return }
        state = .idle
        spareChannels = []
    }

    /// Closes the connection for good.
    func close() async {
        let last = state
        state = .closed
        spareChannels = []
        switch last {
        case .idle, .closed: break
        case .open(let connection): await connection.close()
        case .connecting(let attempt):
            attempt.cancel()
            // An attempt that succeeded all the same closes its connection itself.
            _ = await attempt.result
        }
    }

    /// Why the broker does not read from the connection for now, or nil.
    var blockedReason: String? {
        get async { if case .open(let connection) = state { await connection.blockedReason } else { nil } }
    }

    /// Whether it was closed for good.
    var isClosed: Bool { if case .closed = state { true } else { false } }

    private nonisolated var closedError: BrokerError {
        BrokerError(.closed, "the connections to \(configuration.endpoint) were closed by this process")
    }

    private func connect() async throws -> AMQPConnection {
        do {
            try await Task.sleep(until: earliestAttempt, clock: .continuous)
            let connection = try await AMQPConnection.connect(configuration)
            guard !isClosed else {
                await connection.close()
                throw closedError
            }
            failures = 0
            state = .open(connection)
            // Notes the end of a connection that nobody uses just then; ends with the connection.
            Task { [weak self] in
                _ = await connection.waitUntilClosed()
                await self?.forget(connection)
            }
            return connection
        } catch {
            guard !isClosed else { throw closedError }
            failures += 1
            earliestAttempt = .now + min(.milliseconds(50) * (1 << min(failures, 10)), Self.longestPause)
            state = .idle
            throw BrokerError.mapped(error, "connecting to \(configuration.endpoint)")
        }
    }

    private func dispose(_ channel: AMQPChannel, after error: AMQPError) async {
        if error.isConnectionGone {
            forget(channel.connection)
        } else if error.code != .channelClosed {
            // Its state is not known, say after a time-out; and whoever did not answer that may not answer a goodbye.
            await channel.abandon()
        }
    }
}
