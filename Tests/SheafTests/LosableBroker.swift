import SheafBroker
import SheafCore
import SheafTesting
import Synchronization

/// A broker whose locks can be lost and whose confirms can be blocked.
final class LosableBroker: BrokerWrapper {
    private struct State {
        var lock: LosableLock?
        var isBlocked = false
        var isLate = false
        /// How many messages were published.
        var published = 0
    }

    let inner: any Broker
    private let state = Mutex(State())

    init(_ inner: any Broker) { self.inner = inner }

    /// How many messages were published.
    var published: Int { state.withLock { $0.published } }

    /// Loses the lock that was taken most recently, as a lost connection does.
    func loseLock() async { await state.withLock { $0.lock }?.lose() }

    /// Refuses every lock from now on, as if another process held it.
    func beLate() { state.withLock { $0.isLate = true } }

    /// Blocks or unblocks publishing.
    func block(_ isBlocked: Bool) { state.withLock { $0.isBlocked = isBlocked } }

    var blockedReason: String? { get async { state.withLock { $0.isBlocked ? "low on patience" : nil } } }

    private func refuseWhileBlocked() throws {
        if state.withLock({ $0.isBlocked }) { throw BrokerError(.blocked, "the broker takes no messages for now") }
    }

    func acquireLock(_ name: String) async throws -> (any BrokerLock)? {
        if state.withLock({ $0.isLate }) { return nil }
        guard let lock = try await inner.acquireLock(name) else { return nil }
        let losable = LosableLock(lock)
        state.withLock { $0.lock = losable }
        return losable
    }

    func publish(_ messages: [Message], to queue: String) async throws {
        try refuseWhileBlocked()
        try await inner.publish(messages, to: queue)
        state.withLock { $0.published += messages.count }
    }

    func append(_ messages: [Message], to log: String) async throws {
        try refuseWhileBlocked()
        try await inner.append(messages, to: log)
    }
}

/// A lock that its holder may lose.
actor LosableLock: BrokerLock {
    nonisolated let name: String
    private let inner: any BrokerLock
    private var isLost = false

    init(_ inner: any BrokerLock) {
        self.name = inner.name
        self.inner = inner
    }

    var isHeld: Bool {
        get async {
            if isLost { return false }
            return await inner.isHeld
        }
    }

    func release() async { await inner.release() }

    func lose() async {
        isLost = true
        await inner.release()
    }
}
