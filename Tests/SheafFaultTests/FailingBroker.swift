import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import SheafTesting
import Synchronization

/// A broker whose caller dies at a chosen call: that call and all later ones throw.
final class FailingBroker: BrokerWrapper {
    /// When the caller dies during the call.
    enum Moment: CaseIterable {
        /// Before the call has an effect.
        case before
        /// After the call has had its effect and before it returns.
        case after
    }

    /// The error that calls throw from then on.
    struct Death: Error {}

    let inner: any Broker
    private let left = Mutex(Int.max)
    private let moment: Moment

    /// How many more calls succeed before one fails.
    init(_ inner: any Broker, moment: Moment) {
        self.inner = inner
        self.moment = moment
    }

    /// Lets the given number of calls succeed first.
    func die(after calls: Int) { left.withLock { $0 = calls } }

    func passing<Result>(_ call: () async throws -> Result) async throws -> Result {
        let before = left.withLock { left in
            defer { left = max(-1, left - 1) }
            return left
        }
        if before < 0 || (before == 0 && moment == .before) { throw Death() }
        let result = try await call()
        if before == 0 { throw Death() }
        return result
    }
}

extension Stage {
    /// Runs the body as a process that dies at a call; returns whether the body completed before that.
    func dying(
        after calls: Int,
        _ moment: FailingBroker.Moment,
        _ body: (SheafClient) async throws -> Void
    ) async throws -> Bool {
        try await client { client in
            let broker = FailingBroker(client.broker, moment: moment)
            let dying = try await SheafClient(broker: broker, namespace: namespace)
            broker.die(after: calls)
            do {
                try await body(dying)
                return true
            } catch is FailingBroker.Death {
                return false
            }
        }
    }
}
