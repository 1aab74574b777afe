import SheafBroker
import SheafCore
import Synchronization

/// What a ``BrokerExercise`` has put into a broker and got back from it.
final class ExerciseLedger: Sendable {
    private struct State {
        var published: Set<String> = []
        var settled: Set<String> = []
        var appended: Set<String> = []
        var read: Set<String> = []
        var lastOffset: Int64 = -1
        var problem: String?
    }

    private let state = Mutex(State())

    /// Notes tasks that the broker has confirmed.
    func published(_ ids: [String]) { state.withLock { $0.published.formUnion(ids) } }

    /// Notes tasks that were settled on the channel they came on.
    func settled(_ ids: [String]) { state.withLock { $0.settled.formUnion(ids) } }

    /// Notes entries that the broker has confirmed.
    func appended(_ ids: [String]) { state.withLock { $0.appended.formUnion(ids) } }

    /// Notes entries that were read; none may come twice or out of order.
    func read(_ entries: [LogEntry]) {
        state.withLock { state in
            for entry in entries {
                if entry.offset <= state.lastOffset {
                    state.problem = "entry \(entry.offset) was read after \(state.lastOffset)"
                }
                state.lastOffset = entry.offset
                state.read.insert(entry.message.id)
            }
        }
    }

    /// How much was confirmed.
    var confirmedCount: Int { state.withLock { $0.published.count + $0.appended.count } }

    /// What is confirmed and has not come back, for people; nil where there is nothing.
    var missing: String? {
        state.withLock { state in
            let tasks = state.published.subtracting(state.settled)
            let entries = state.appended.subtracting(state.read)
            guard !tasks.isEmpty || !entries.isEmpty else { return nil }
            let examples = (tasks.sorted().prefix(3) + entries.sorted().prefix(3)).joined(separator: ", ")
            return "\(tasks.count) tasks and \(entries.count) entries were confirmed and not seen: \(examples)"
        }
    }

    /// What must not have happened, for people.
    var problem: String? { state.withLock { $0.problem } }
}
