import SheafBroker
import SheafCore
import SheafTesting
import Synchronization

/// A broker that refuses to append to a blocked log, as RabbitMQ does under an alarm.
final class AlarmBroker: BrokerWrapper {
    let inner: any Broker
    private let blocked = Mutex<String?>(nil)
    private let count = Mutex(0)

    init(_ inner: any Broker) { self.inner = inner }

    /// How many appends were refused.
    var refusals: Int { count.withLock { $0 } }

    /// Blocks a log; nil blocks none.
    func block(_ log: String?) { blocked.withLock { $0 = log } }

    func append(_ messages: [Message], to log: String) async throws {
        if blocked.withLock({ $0 == log }) {
            count.withLock { $0 += 1 }
            throw BrokerError(.blocked, "the broker is blocked: an alarm of this test")
        }
        try await inner.append(messages, to: log)
    }
}
