import SheafBatches
import SheafBroker
import SheafCore
import Synchronization

/// What the parts of one worker share: which deliveries it holds, which tasks it runs, and what it has done.
final class WorkerState: Sendable {
    /// What becomes of a delivery whose task could begin.
    enum Admission {
        /// It begins; the first of its batch here, or not.
        case begun(isFirst: Bool)
        /// Its outcome was written already.
        case finished
        /// The same task runs here, and this delivery ends as that one does.
        case joined
        /// Nothing of its batch, or nothing at all, is to begin now.
        case refused
        /// What it calls wants to be left alone for now.
        case paused
    }

    struct Contents {
        var held: [Delivery.Token: HeldTask] = [:]
        /// Those of them whose task runs on a lease: asked for with each fetching, while thousands may be held.
        var leased: Set<Delivery.Token> = []
        var running: [Name: Set<Int>] = [:]
        var halted: [Name: Int] = [:]
        var begun: Set<Name> = []
        var recent = RecentTasks()
        var report = WorkerReport()
        var lastActivity = ContinuousClock.now
        var isLeaving = false
        var isShuttingDown = false
    }

    let contents = Mutex(Contents())
    // Apart from the rest, since each task looks at the one and adds to the other.
    private let stalled = Atomic(false)
    private let successes = Atomic(0)
    /// Tells of deliveries held or let go, of the wish to leave, and of outcomes that can not be written or can again.
    let changed = Changes()

    /// What it has done.
    var report: WorkerReport {
        var report = contents.withLock { $0.report }
        report.succeeded = successes.load(ordering: .relaxed)
        return report
    }

    /// Notes in the report that a task has succeeded.
    func noteSuccess() { successes.wrappingAdd(1, ordering: .relaxed) }

    /// Notes something in the report.
    func note(_ change: (inout WorkerReport) -> Void) {
        contents.withLock { change(&$0.report) }
    }

    // MARK: Leaving and waiting

    /// Whether it takes no more tasks.
    var isLeaving: Bool { contents.withLock { $0.isLeaving } }
    /// Whether it was told from outside to leave, which gives what runs a limited time.
    var isShuttingDown: Bool { contents.withLock { $0.isShuttingDown } }

    /// Takes no more tasks from now on.
    func leave(shuttingDown: Bool = false) {
        contents.withLock { contents in
            contents.isLeaving = true
            if shuttingDown { contents.isShuttingDown = true }
        }
        changed.notify()
    }

    /// Whether outcomes can not be written at the moment, so that nothing new is to begin.
    var isStalled: Bool { stalled.load(ordering: .sequentiallyConsistent) }

    /// Says whether outcomes can be written.
    func setStalled(_ isStalled: Bool) {
        stalled.store(isStalled, ordering: .sequentiallyConsistent)
        changed.notify()
    }

    /// Waits until a task may begin as far as writing its outcome is concerned, or the worker leaves.
    func waitWhileStalled() async {
        if !isStalled { return }
        for await _ in changed.stream() where !isStalled || isLeaving { return }
    }

    /// Waits until everything is settled.
    func waitUntilNothingHeld() async {
        for await _ in changed.stream() where heldCount == 0 { return }
    }

    /// Waits until it is to take no more tasks.
    func waitUntilLeaving() async {
        for await _ in changed.stream() where isLeaving { return }
    }

    /// Waits until it was told from outside to leave.
    func waitUntilShuttingDown() async {
        for await _ in changed.stream() where isShuttingDown { return }
    }

    // MARK: Tasks

    /// Lets the task of a delivery begin, or says why not.
    ///
    /// - Parameters:
    ///   - assignment: The task.
    ///   - isPaused: Whether what it calls is to be left alone.
    func admit(_ assignment: Assignment, isPaused: Bool) -> Admission {
        let isStalled = isStalled
        return contents.withLock { $0.admit(assignment, mayRun: !isStalled, isPaused: isPaused) }
    }

    /// Lets the tasks of several deliveries begin, or says of each why not.
    func admit(_ assignments: [Assignment], isPaused: Bool) -> [Admission] {
        let isStalled = isStalled
        return contents.withLock { contents in
            assignments.map { contents.admit($0, mayRun: !isStalled, isPaused: isPaused) }
        }
    }

    /// Notes that the outcomes of a batch's tasks are confirmed, so that nobody else settles them.
    func finish(_ items: [InboxItem], of batch: Name, adding settling: inout PendingSettlement) {
        contents.withLock { contents in
            var running = contents.running.removeValue(forKey: batch) ?? []
            defer { if !running.isEmpty { contents.running[batch] = running } }
            for item in items {
                guard let place = contents.held.index(forKey: item.token) else {
                    settling.add(HeldTask(item))
                    continue
                }
                contents.held.values[place].isClosing = true
                settling.add(contents.held.values[place])
                if let task = contents.held.values[place].$task {
                    running.remove(task.wrappedValue.index)
                    contents.recent.insert(task.wrappedValue)
                }
            }
        }
    }

    /// Notes that a task does not run any more.
    func end(batch: Name, index: Int) {
        contents.withLock { contents in
            contents.running[batch]?.remove(index)
            if contents.running[batch]?.isEmpty == true { contents.running[batch] = nil }
        }
    }

    /// Notes that tasks which were let begin have not, and wait again.
    func withdraw(_ assignments: [Assignment]) {
        contents.withLock { contents in
            for assignment in assignments {
                contents.held[assignment.item.token]?.task = nil
                contents.held[assignment.item.token]?.cancel = nil
                contents.running[assignment.task.batch]?.remove(assignment.task.index)
            }
            for batch in Set(assignments.map(\.task.batch)) where contents.running[batch]?.isEmpty == true {
                contents.running[batch] = nil
            }
        }
    }

    /// The tasks that run, by batch.
    var running: [Name: [Int]] { contents.withLock { $0.running.mapValues { $0.sorted() } } }

    /// How many deliveries of tasks are held that have not begun, by batch.
    var waiting: [Name: Int] {
        contents.withLock { contents in
            var counts = contents.held.values.reduce(into: [Name: Int]()) { counts, holding in
                if let batch = holding.item.batch { counts[batch, default: 0] += 1 }
            }
            for (batch, indices) in contents.running { counts[batch, default: 0] -= indices.count }
            return counts.filter { $0.value > 0 }
        }
    }

    /// Notes how the attempts at the tasks of deliveries are ended.
    func setAttempt(of items: [InboxItem], _ cancel: @escaping @Sendable () -> Void) {
        contents.withLock { contents in
            for item in items { contents.held[item.token]?.cancel = cancel }
        }
    }

    /// Ends the attempts at tasks of a batch.
    func cancelAttempts(of batch: Name) {
        let attempts = contents.withLock { contents in
            contents.held.values.compactMap { $0.task?.batch == batch ? $0.cancel : nil }
        }
        for cancel in attempts { cancel() }
    }

    // MARK: Batches

    /// Notes that this worker has seen the deciding failure; true the first time since the batch was let go on.
    func halt(_ record: BatchInfo) -> Bool {
        contents.withLock { $0.halted.updateValue(record.continuations, forKey: record.id) != record.continuations }
    }

    /// Whether this worker has seen a batch's deciding failure, which the journal may not have told yet.
    ///
    /// A halt does not outlive that somebody lets the batch go on.
    func isHalted(_ record: BatchInfo) -> Bool {
        contents.withLock { $0.halted[record.id] == record.continuations }
    }
}
