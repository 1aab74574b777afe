import Synchronization

/// The children of a flow that wait for a task, and those that come to their end.
final class ChildPool: Sendable {
    private struct State {
        var idle: [LineChild] = []
        var ending: [ObjectIdentifier: LineChild] = [:]
        var isOver = false
    }

    private let state = Mutex(State())
    private let pace = Mutex(TaskPace())

    /// How many tasks a child may be handed at once.
    var groupSize: Int { pace.withLock { $0.groupSize } }

    /// Notes how long a task took a child.
    func note(_ duration: Duration) { pace.withLock { $0.note(duration) } }

    /// Has tasks come one by one for a while.
    func separateTasks() { pace.withLock { $0.reset() } }

    /// Has tasks come one by one from now on.
    func forbidGroups() { pace.withLock { $0.isForbidden = true } }

    /// The child that had a task last, if any waits: its pages are the warmest, and others may go unused.
    func take() -> LineChild? { state.withLock { $0.idle.popLast() } }

    /// Keeps a child for another task.
    func keep(_ child: LineChild) {
        let isKept = state.withLock { state in
            if !state.isOver { state.idle.append(child) }
            return !state.isOver
        }
        if !isKept { drop(child, .retired) }
    }

    /// Has a child end; it is not waited for.
    func drop(_ child: LineChild, _ ending: LineChild.Ending) {
        state.withLock { $0.ending[ObjectIdentifier(child)] = child }
        child.end(ending)
        Task {
            _ = await child.fate()
            state.withLock { _ = $0.ending.removeValue(forKey: ObjectIdentifier(child)) }
        }
    }

    /// Has all children end, and waits for them.
    func close() async {
        let idle = state.withLock { state in
            state.isOver = true
            defer { state.idle = [] }
            return state.idle
        }
        for child in idle { drop(child, .retired) }
        for child in state.withLock({ Array($0.ending.values) }) { _ = await child.fate() }
        state.withLock { $0.isOver = false }
    }

    deinit {
        for child in state.withLock({ $0.idle }) { child.end(.retired) }
    }
}
