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
