import SheafBroker
import SheafCore
import Synchronization

/// A connection that is lost when the outcome of certain tasks is about to be recorded.
final class LosingBroker: BrokerWrapper {
    let inner: any Broker
    private let tasks: Set<Int>
    private let prefetch: Int
    private let state = Mutex<Set<Int>>([])

    init(_ inner: any Broker, after tasks: Set<Int>, prefetch: Int) {
        self.inner = inner
        self.tasks = tasks
        self.prefetch = prefetch
    }

    /// The tasks whose outcomes were lost with the connection.
    var lost: Set<Int> { state.withLock { $0 } }

    func append(_ messages: [Message], to log: String) async throws {
        if !tasks.isEmpty {
            let ended = messages.flatMap { ResultMessage.outcomes(of: $0).map(\.index) }
            let lost = tasks.intersection(ended)
            if !lost.isEmpty {
                state.withLock { $0.formUnion(lost) }
                await inner.close()
                throw BrokerError(.closed, "the stage has closed the connection of this worker")
            }
        }
        try await inner.append(messages, to: log)
    }

    // Every task that a lost worker holds counts as delivered once more, so it must hold few that do not run.
    func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer {
        try await inner.consume(queue, prefetch: tasks.isEmpty ? prefetch : min(prefetch, self.prefetch))
    }
}
