import Sheaf
import SheafBroker
import SheafCore
import SheafTesting
import Synchronization

/// A broker whose user dies at a chosen call: that one and all later ones throw.
final class FailingBroker: BrokerWrapper {
    /// When at the call it dies.
    enum Moment: CaseIterable {
        /// Before the call does anything.
        case before
        /// When the call has done its work, and before it says so.
        case after
    }

    /// What calls throw from then on.
    struct Death: Error {}

    let inner: any Broker
    private let left = Mutex(Int.max)
    private let moment: Moment

    /// Dies at the call after so many more.
    init(_ inner: any Broker, moment: Moment) {
        self.inner = inner
        self.moment = moment
    }

    /// Lets so many more calls do well.
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
    /// Runs the body as a process that dies at a call; returns whether it came to its end before that.
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
