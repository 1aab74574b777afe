import SheafCore

/// The tasks of a batch that wait for their next attempt, counted by when they are due.
struct DelayedTasks: Sendable {
    private var times: [Int: Timestamp] = [:]
    private var counts: [Timestamp: Int] = [:]

    /// Records that a task is delayed; an earlier delay of the task is over.
    mutating func insert(_ index: Int, for delay: Duration, at time: Timestamp) {
        remove(index)
        let due = Self.rounded(delay, at: time)
        times[index] = due
        counts[due, default: 0] += 1
    }

    /// Records that a task is no longer delayed.
    mutating func remove(_ index: Int) {
        guard let due = times.removeValue(forKey: index), let count = counts[due] else { return }
        counts[due] = count > 1 ? count - 1 : nil
    }

    /// The tasks that are not due yet, soonest first.
    func due(after now: Timestamp) -> [DueTasks] {
        counts.filter { $0.key > now }.map { DueTasks(at: $0.key, count: $0.value) }.sorted { $0.at < $1.at }
    }

    /// Rounds down to an eighth of the delay or so, and to seconds, so that there are few different times.
    private static func rounded(_ delay: Duration, at time: Timestamp) -> Timestamp {
        let due = time + delay
        var step: Int64 = 1000
        while step * 16 < due.milliseconds - time.milliseconds { step *= 2 }
        return Timestamp(milliseconds: max(time.milliseconds, due.milliseconds / step * step))
    }
}
