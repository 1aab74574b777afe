import SheafBatches
import SheafCore
import SheafFlows

/// Decides how long a bulk waits for more tasks.
///
/// How old the oldest task is follows from the batch's journal, so another worker that gathers the same tasks after a
/// crash comes to the same end.
struct BulkWait {
    private let patience: Duration
    private let longest: Duration
    private let interval: Duration
    private let maximumBytes: Int
    private let start = ContinuousClock.now
    private var last = ContinuousClock.now
    private var nextLook = ContinuousClock.now
    private var oldest = Int.max
    private var bytes = 0

    /// Begins to wait.
    ///
    /// - Parameters:
    ///   - flow: How long it waits, and how many bytes it takes.
    ///   - patience: How long nothing must have come.
    init(_ flow: any BulkFlow, _ patience: Duration) {
        self.patience = patience
        longest = flow.maximumWait
        interval = flow.waitInterval
        maximumBytes = flow.maximumBytes
    }

    /// Notes tasks that have come.
    mutating func note(_ tasks: [Assignment]) {
        last = .now
        for task in tasks.map(\.task) {
            oldest = min(oldest, task.index)
            bytes += task.record.bytes.count
        }
    }

    /// Whether nothing has come for a while.
    var isQuiet: Bool { .now - last > patience }

    /// Whether the bulk begins without more tasks.
    mutating func isOver(_ info: BatchInfo?) -> Bool {
        if bytes >= maximumBytes { return true }
        guard isQuiet else { return false }
        guard let info, info.expectsTasks, longest > .zero else { return true }
        let now = ContinuousClock.now
        guard now >= nextLook else { return false }
        nextLook = now + interval
        // The creator's clock may be wrong; no task is younger than the time that this worker has had it.
        let published = info.publishingTime(ofTask: oldest)
        return max(now - start, published.map { Timestamp.now - $0 } ?? .zero) >= longest
    }
}
