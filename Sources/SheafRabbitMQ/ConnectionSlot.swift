import AMQPClient
import SheafBroker

/// Holds one connection, which is opened when it is needed and again after it was lost.
///
/// All callers share an attempt that is under way. After a failure the next attempt waits, longer each time.
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
    /// Whether a connection was lost or an attempt failed since the last connection was opened.
    private var hasFailed = false
    private var earliestAttempt = ContinuousClock.now
    /// Open channels for calls that leave no state on a channel.
    private var spareChannels: [AMQPChannel] = []

    init(_ configuration: AMQPConfiguration, purpose: String) {
        var configuration = configuration
        configuration.connectionName += " \(purpose)"
        self.configuration = configuration
    }

    /// Returns the connection, and opens it if there is none.
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

    /// Opens a channel, on a new connection if the old one turns out to be lost.
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

    /// Runs calls on a channel that no other call uses in the meantime; a refusal by the broker closes only that
    /// channel.
    func withChannel<Value: Sendable>(
        _ body: sending (AMQPChannel) async throws -> Value
    ) async throws -> Value {
        let channel = if let spare = spareChannels.popLast() { spare } else { try await openChannel() }
        do {
            let value = try await body(channel)
            if case .open(let connection) = state, connection.epoch == channel.epoch {
                spareChannels.append(channel)
            }
            return value
        } catch let error as AMQPError {
            await dispose(channel, after: error)
            throw error
        }
    }

    /// Cuts a connection that does not answer, so that the next call opens another.
    func abandon(_ connection: AMQPConnection) {
        forget(connection)
        // Without a closing handshake: it would not be answered, and the caller would wait for it as well.
        connection.cut()
    }

    /// Records that a connection is lost.
    func forget(_ connection: AMQPConnection) {
        guard case .open(let current) = state, current.epoch == connection.epoch else { return }
        state = .idle
        hasFailed = true
        spareChannels = []
    }

    /// Closes the connection permanently.
    func close() async {
        let last = state
        state = .closed
        spareChannels = []
        switch last {
        case .idle, .closed: break
        case .open(let connection): await connection.close()
        case .connecting(let attempt):
            attempt.cancel()
            // An attempt that succeeds anyway closes its connection itself.
            _ = await attempt.result
        }
    }

    /// The reason why the broker does not read from the connection at present, or nil.
    var blockedReason: String? {
        get async { if case .open(let connection) = state { await connection.blockedReason } else { nil } }
    }

    /// From when on the broker at the other end is trusted to know all queues.
    ///
    /// A connection that replaces a lost one, or that follows failed attempts, may lead to a broker that is just
    /// starting; it is trusted ``AbsenceDecider/patience`` after it was opened. Any other connection is trusted
    /// immediately.
    private(set) var trustedFrom = ContinuousClock.now

    private var isClosed: Bool { if case .closed = state { true } else { false } }

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
            trustedFrom = hasFailed ? .now + AbsenceDecider.patience : .now
            hasFailed = false
            failures = 0
            state = .open(connection)
            // Records the loss of a connection that is not in use at that time; ends with the connection.
            Task { [weak self] in
                _ = await connection.waitUntilClosed()
                await self?.forget(connection)
            }
            return connection
        } catch {
            guard !isClosed else { throw closedError }
            failures += 1
            hasFailed = true
            earliestAttempt = .now + min(.milliseconds(50) * (1 << min(failures, 10)), Self.longestPause)
            state = .idle
            throw BrokerError.mapped(error, "connecting to \(configuration.endpoint)")
        }
    }

    private func dispose(_ channel: AMQPChannel, after error: AMQPError) async {
        if error.isConnectionGone {
            forget(channel.connection)
        } else if error.code != .channelClosed {
            // Its state is unknown, for example after a time-out, and a closing handshake may not be answered either.
            await channel.abandon()
        }
    }
}
