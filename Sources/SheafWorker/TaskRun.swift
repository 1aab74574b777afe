import SheafBatches
import SheafCore
import SheafFlows
import Synchronization

/// When an attempt began or ended, in the calendar and on the clock.
struct Moment: Sendable {
    let time = Timestamp.now
    let instant = ContinuousClock.now
}

/// The tasks of one batch that a flow works on one after the other, those without a result.
final class TaskRun: Sendable {
    private struct State {
        var assignments: [Assignment] = []
        /// How many of those have a result.
        var place = 0
        var beginning = Moment()
        var attempts: Task<Void, Never>?
        var isEnded = false
    }

    private let state = Mutex(State())

    /// Adds tasks that the flow is handed now, behind those it has.
    func add(_ assignments: [Assignment]) {
        state.withLock { state in
            state.assignments.removeFirst(state.place)
            state.place = 0
            state.assignments += assignments
        }
    }

    /// Notes that the task whose turn it was has a result; returns which that is, since when it had its turn, and the time.
    func pass() -> (assignment: Assignment, beginning: Moment, end: Moment) {
        let now = Moment()
        return state.withLock { state in
            defer {
                state.place += 1
                state.beginning = now
            }
            return (state.assignments[state.place], state.beginning, now)
        }
    }

    /// The tasks that have no result.
    var rest: [Assignment] { state.withLock { Array($0.assignments[$0.place...]) } }

    /// Whether the attempts are to end.
    var isEnded: Bool { state.withLock { $0.isEnded } }

    /// Says who makes the attempts.
    func begin(_ attempts: Task<Void, Never>) {
        let isEnded = state.withLock { state in
            state.attempts = attempts
            return state.isEnded
        }
        if isEnded { attempts.cancel() }
    }

    /// Ends the attempts, also where nobody makes them yet.
    func end() {
        let attempts = state.withLock { state in
            state.isEnded = true
            return state.attempts
        }
        attempts?.cancel()
    }
}
