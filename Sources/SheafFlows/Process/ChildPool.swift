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

/// How long tasks take a child, and so how many of them it may be handed at once.
///
/// The longest of the latest ones counts beside their mean: where one in a hundred takes a second, the others are not to wait
/// behind it while another child has nothing to do.
struct TaskPace {
    /// How long a task may wait for those before it.
    static let patience = Duration.milliseconds(20)
    /// The most tasks at once; so many are done over where the child dies.
    static let largestGroup = 256
    /// So many tasks are looked back at, at least, and at most twice as many.
    static let memory = 64

    private struct Window {
        var longest = Duration.zero
        var total = Duration.zero
        var count = 0
    }

    /// Whether there are to be no groups, however short tasks are.
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

    /// Has tasks come one by one for a while: something else than their time speaks against groups.
    mutating func reset() { (previous, current) = (nil, Window()) }

    /// How many tasks may be handed over at once: as many as fit into the patience with one of the longest among them.
    var groupSize: Int {
        guard !isForbidden, let previous else { return 1 }
        // Dividing durations takes numbers of 128 bits.
        let total = (previous.total + current.total).nanoseconds
        let mean = max(1_000, total / Int64(previous.count + current.count))
        let fitting = (Self.patience - max(previous.longest, current.longest)).nanoseconds / mean
        return max(1, min(Self.largestGroup, Int(fitting)))
    }
}

extension Duration {
    /// As nanoseconds, for reckoning with what is short.
    fileprivate var nanoseconds: Int64 { components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000 }
}
