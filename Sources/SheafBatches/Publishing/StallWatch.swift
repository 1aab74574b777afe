import SheafBroker
import Synchronization

/// What keeps publishing waiting.
public struct PublishingStall: Sendable, Equatable {
    /// Why, for people.
    public var reason: String
    /// How much longer it is waited for at most.
    public var patience: Duration
}

/// Sees to it that publishing waits for the broker so long and no longer, and that somebody is told of it.
///
/// The time runs while something is under way and nothing comes to its end; it does not while the input has nothing.
final class StallWatch: Sendable {
    private struct State {
        var underWay = 0
        var since = ContinuousClock.now
        var latest: BrokerError?
        var isTold = false
        var failure: (any Error)?
    }

    private let broker: any Broker
    private let limit: Duration
    private let onStall: @Sendable (PublishingStall?) -> Void
    private let state = Mutex(State())

    private static let tick = Duration.milliseconds(100)
    /// A broker that only is slow is not worth a word before this.
    private static let slowness = Duration.seconds(5)
    /// Confirmations that are on their way in spite of an alarm come within this.
    private static let blockedGrace = Duration.milliseconds(500)

    init(broker: any Broker, limit: Duration, onStall: @escaping @Sendable (PublishingStall?) -> Void) {
        self.broker = broker
        self.limit = limit
        self.onStall = onStall
    }

    /// Runs something that needs the broker, again and again while it fails in a way that passes by itself.
    func during<Result: Sendable>(_ operation: () async throws -> Result) async throws -> Result {
        state.withLock { state in
            if state.underWay == 0 { state.since = .now }
            state.underWay += 1
        }
        defer { state.withLock { $0.underWay -= 1 } }
        let result = try await retrying {
            do {
                return try await operation()
            } catch {
                if let error = error as? BrokerError, error.isRetryable { state.withLock { $0.latest = error } }
                throw error
            }
        }
        let wasTold = state.withLock { state in
            defer { (state.since, state.latest, state.isTold) = (.now, nil, false) }
            return state.isTold
        }
        if wasTold { onStall(nil) }
        return result
    }

    /// Ends the watch, and with it all that is watched, with an error.
    func fail(_ error: any Error) {
        state.withLock { $0.failure = $0.failure ?? error }
    }

    /// Runs the body under watch; throws what it throws, or the broker's reason where the time is over.
    func watching<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                while true {
                    try await Task.sleep(for: Self.tick)
                    try await self.look()
                }
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() ?? nil else { throw CancellationError() }
            return result
        }
    }

    private func look() async throws {
        let (isBusy, since, latest, isTold, failure) = state.withLock {
            ($0.underWay > 0, $0.since, $0.latest, $0.isTold, $0.failure)
        }
        if let failure { throw failure }
        let stalled = ContinuousClock.now - since
        guard isBusy, stalled >= Self.blockedGrace else { return }
        let alarm = await broker.blockedReason
        if stalled >= limit { throw error(alarm, latest, after: stalled) }
        guard !isTold, alarm != nil || latest != nil || stalled >= Self.slowness else { return }
        state.withLock { $0.isTold = true }
        onStall(PublishingStall(reason: Self.reason(alarm, latest), patience: limit - stalled))
    }

    private func error(_ alarm: String?, _ latest: BrokerError?, after time: Duration) -> BrokerError {
        let code: BrokerError.Code = alarm == nil ? latest?.code ?? .timedOut : .blocked
        let seconds = Int((time / .seconds(1)).rounded())
        return BrokerError(
            code,
            "\(Self.reason(alarm, latest)); it has confirmed nothing for \(seconds) s",
            underlying: latest
        )
    }

    private static func reason(_ alarm: String?, _ latest: BrokerError?) -> String {
        if let alarm { return "the broker takes no messages (alarm: \(alarm))" }
        return latest?.message ?? "the broker is slow to confirm"
    }
}
