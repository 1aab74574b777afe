import Synchronization

/// The children of a flow that wait for a task, and those that are about to end.
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

    /// Notes how long a child took for a task.
    func note(_ duration: Duration) { pace.withLock { $0.note(duration) } }

    /// Makes tasks come one by one for a while.
    func separateTasks() { pace.withLock { $0.reset() } }

    /// Makes tasks come one by one from now on.
    func forbidGroups() { pace.withLock { $0.isForbidden = true } }

    /// Takes the waiting child that had a task last: its memory is the warmest, and the others may stay unused.
    func take() -> LineChild? { state.withLock { $0.idle.popLast() } }

    /// Keeps a child for another task.
    func keep(_ child: LineChild) {
        let isKept = state.withLock { state in
            if !state.isOver { state.idle.append(child) }
            return !state.isOver
        }
        if !isKept { drop(child, .retired) }
    }

    /// Ends a child without waiting for its end.
    func drop(_ child: LineChild, _ ending: LineChild.Ending) {
        state.withLock { $0.ending[ObjectIdentifier(child)] = child }
        child.end(ending)
        Task {
            _ = await child.fate()
            state.withLock { _ = $0.ending.removeValue(forKey: ObjectIdentifier(child)) }
        }
    }

    /// Ends all children and waits for their end.
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

/// Measures how long children take for tasks, and decides how many tasks a child may be handed at once.
///
/// The longest of the latest tasks counts as well as their mean: if one task in a hundred takes a second, the others
/// must not wait for it while another child has nothing to do.
struct TaskPace {
    /// How long a task may wait for those handed over before it.
    static let patience = Duration.milliseconds(20)
    /// The most tasks at once; if the child dies, up to this many are run again.
    static let largestGroup = 256
    /// At least this many tasks, and at most twice as many, are taken into account.
    static let memory = 64

    private struct Window {
        var longest = Duration.zero
        var total = Duration.zero
        var count = 0
    }

    /// Whether tasks come one by one however short they are.
    var isForbidden = false
    private var current = Window()
    private var previous: Window?

    /// Notes how long a task took.
    mutating func note(_ duration: Duration) {
        current.longest = max(current.longest, duration)
        current.total += duration
        current.count += 1
        if current.count == Self.memory { (previous, current) = (current, Window()) }
    }

    /// Makes tasks come one by one for a while, for another reason than their duration.
    mutating func reset() { (previous, current) = (nil, Window()) }

    /// How many tasks may be handed over at once: as many as fit into the patience if one of them is as long as the
    /// longest.
    var groupSize: Int {
        guard !isForbidden, let previous else { return 1 }
        // Durations would be divided as numbers of 128 bits, which is slow.
        let total = (previous.total + current.total).nanoseconds
        let mean = max(1_000, total / Int64(previous.count + current.count))
        let fitting = (Self.patience - max(previous.longest, current.longest)).nanoseconds / mean
        return max(1, min(Self.largestGroup, Int(fitting)))
    }
}

extension Duration {
    /// The duration in nanoseconds.
    fileprivate var nanoseconds: Int64 { components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000 }
}
