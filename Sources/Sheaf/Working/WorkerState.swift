import SheafBroker
import SheafCore
import Synchronization

/// What the parts of one worker share: which deliveries it holds, which tasks it runs, and what it has done.
final class WorkerState: Sendable {
    private struct Contents {
        var held: [Delivery.Token: InboxItem] = [:]
        var running: [Name: Set<Int>] = [:]
        var attempts: [String: @Sendable () -> Void] = [:]
        var halted: Set<Name> = []
        var begun: Set<Name> = []
        var report = WorkerReport()
        var lastActivity = ContinuousClock.now
        var isLeaving = false
    }

    private let contents = Mutex(Contents())
    /// Tells of deliveries held or let go, and of the wish to leave.
    let changed = Changes()

    /// What it has done.
    var report: WorkerReport { contents.withLock { $0.report } }

    /// Notes something in the report.
    func note(_ change: (inout WorkerReport) -> Void) {
        contents.withLock { change(&$0.report) }
    }

    /// Whether it takes no more tasks.
    var isLeaving: Bool { contents.withLock { $0.isLeaving } }

    /// Takes no more tasks from now on.
    func leave() {
        contents.withLock { $0.isLeaving = true }
        changed.notify()
    }

    // MARK: Deliveries

    /// Notes deliveries that are to be settled.
    func hold(_ items: [InboxItem]) {
        contents.withLock { contents in
            for item in items { contents.held[item.delivery.token] = item }
            contents.lastActivity = .now
        }
    }

    /// Notes that deliveries are settled.
    func release(_ items: [InboxItem]) {
        contents.withLock { contents in
            for item in items { contents.held[item.delivery.token] = nil }
            contents.lastActivity = .now
        }
        changed.notify()
    }

    /// The deliveries that are not settled.
    var held: [InboxItem] { contents.withLock { Array($0.held.values) } }
    /// How many those are.
    var heldCount: Int { contents.withLock { $0.held.count } }
    /// How many of them are of one batch.
    func heldCount(of batch: Name) -> Int { contents.withLock { $0.held.values.count { $0.batch == batch } } }
    /// How long nothing has been received or settled while nothing is held.
    var idleTime: Duration { contents.withLock { $0.held.isEmpty ? .now - $0.lastActivity : .zero } }

    /// Waits until everything is settled.
    func waitUntilNothingHeld() async {
        for await _ in changed.stream() where heldCount == 0 { return }
    }

    // MARK: Tasks

    /// Notes that a task runs; returns whether it is this worker's first of its batch.
    func begin(_ task: BatchTask) -> Bool {
        contents.withLock { contents in
            contents.running[task.batch, default: []].insert(task.index)
            return contents.begun.insert(task.batch).inserted
        }
    }

    /// Notes that the outcome of a task is confirmed.
    func end(batch: Name, index: Int) {
        contents.withLock { contents in
            contents.running[batch]?.remove(index)
            if contents.running[batch]?.isEmpty == true { contents.running[batch] = nil }
        }
    }

    /// The tasks that run, by batch.
    var running: [Name: [Int]] { contents.withLock { $0.running.mapValues { $0.sorted() } } }

    /// How many deliveries of tasks are held that have not begun, by batch.
    var waiting: [Name: Int] {
        contents.withLock { contents in
            var counts = contents.held.values.reduce(into: [Name: Int]()) { counts, item in
                if let batch = item.batch { counts[batch, default: 0] += 1 }
            }
            for (batch, indices) in contents.running { counts[batch, default: 0] -= indices.count }
            return counts.filter { $0.value > 0 }
        }
    }

    /// Notes how an attempt can be ended, or nil when it is over.
    func setAttempt(_ cancel: (@Sendable () -> Void)?, of id: String) {
        contents.withLock { $0.attempts[id] = cancel }
    }

    /// Ends the attempts at tasks of a batch.
    func cancelAttempts(of batch: Name) {
        let attempts = contents.withLock { contents in
            (contents.running[batch] ?? []).compactMap { contents.attempts["\(batch.text):\($0)"] }
        }
        for cancel in attempts { cancel() }
    }

    // MARK: Batches

    /// Notes that this worker has seen the deciding failure; true the first time.
    func halt(_ batch: Name) -> Bool { contents.withLock { $0.halted.insert(batch).inserted } }
    /// Whether this worker has seen a batch's deciding failure, which the journal may not have told yet.
    func isHalted(_ batch: Name) -> Bool { contents.withLock { $0.halted.contains(batch) } }
}
