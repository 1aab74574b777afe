import SheafFlows
import Synchronization

/// What is known of the tasks of a bulk while its flow runs.
final class BulkProgress: Sendable {
    private struct State {
        var memo: BulkMemo?
        /// The positions without a result of the flow.
        var unreported: Set<Int>
        /// The positions whose result was not handled yet.
        var open: Set<Int>
        var throttled: [Int] = []
        var throttle: FlowThrottle?
        var failure: (any Error)?
        var isCancelled = false
        var returnsRest = false
    }

    let beginning = Moment()
    private let members: [BulkMember]
    private let state: Mutex<State>

    init(_ members: [BulkMember], memo: BulkMemo?) {
        self.members = members
        state = Mutex(State(memo: memo, unreported: Set(members.indices), open: Set(members.indices)))
    }

    /// The newest memo that is stored.
    var memo: BulkMemo? { state.withLock { $0.memo } }
    /// Why a memo could not be stored.
    var failure: (any Error)? { state.withLock { $0.failure } }
    /// Whether the batch was cancelled.
    var isCancelled: Bool { state.withLock { $0.isCancelled } }
    /// Whether the tasks without a result return to their queue, and the memo is of no use to them.
    var returnsRest: Bool { state.withLock { $0.returnsRest } }
    /// The tasks without a result.
    var unreported: [BulkMember] { state.withLock { state in state.unreported.map { members[$0] } } }
    /// The positions of the tasks whose result was not handled.
    var open: [Int] { state.withLock { $0.open.sorted() } }

    func remember(_ memo: BulkMemo) { state.withLock { $0.memo = memo } }
    func fail(_ error: any Error) { state.withLock { $0.failure = error } }
    func returnRest() { state.withLock { $0.returnsRest = true } }
    func cancel() { state.withLock { $0.isCancelled = true } }
    /// Records that a task has a result; returns false if it needs none, because it has an outcome already.
    func report(_ position: Int) -> Bool { state.withLock { $0.unreported.remove(position) != nil } }
    func end(_ position: Int) { state.withLock { _ = $0.open.remove(position) } }

    /// Records that tasks have outcomes already; returns those that had no result meanwhile.
    func drop(_ ended: [BulkMember]) -> [BulkMember] {
        let tokens = Set(ended.map(\.delivery.token))
        return state.withLock { state in
            let dropped = state.unreported.filter { tokens.contains(members[$0].delivery.token) }
            state.unreported.subtract(dropped)
            state.open.subtract(dropped)
            return dropped.map { members[$0] }
        }
    }

    /// Records that a task has to wait because the provider asked for a pause.
    func throttle(_ position: Int, _ throttle: FlowThrottle) {
        state.withLock { state in
            state.throttled.append(position)
            state.throttle = throttle
        }
    }

    /// Returns which tasks have to wait since the last call, and why.
    func takeThrottled() -> (positions: [Int], throttle: FlowThrottle?) {
        state.withLock { state in
            defer { (state.throttled, state.throttle) = ([], nil) }
            return (state.throttled.filter(state.unreported.contains).sorted(), state.throttle)
        }
    }
}
