import SheafBatches
import SheafBroker
import SheafCore
import Synchronization

extension WorkerState {
    /// Notes deliveries that are to be settled.
    func hold(_ items: [InboxItem]) {
        contents.withLock { contents in
            for item in items { contents.held[item.token] = HeldTask(item) }
            contents.lastActivity = .now
        }
    }

    /// Makes sure that from now on nobody else settles these; returns what is known of them.
    func close(_ items: [InboxItem]) -> [HeldTask] {
        contents.withLock { contents in
            items.map { item in
                contents.held[item.token]?.isClosing = true
                return contents.held[item.token] ?? HeldTask(item)
            }
        }
    }

    /// Notes that deliveries are settled, or of no use any more.
    func release(_ tokens: some Sequence<Delivery.Token>) {
        contents.withLock { contents in
            for token in tokens { contents.letGo(token) }
            contents.lastActivity = .now
        }
        changed.notify()
    }

    /// The deliveries that are not settled.
    var held: [InboxItem] { contents.withLock { $0.held.values.map(\.item) } }
    /// How many those are.
    var heldCount: Int { contents.withLock { $0.held.count } }
    /// The queues that they came from.
    var heldKeys: Set<QueueKey> { contents.withLock { Set($0.held.values.compactMap(\.item.key)) } }
    /// How many of them the broker counts against the prefetch of a queue's consumers.
    func heldCount(of key: QueueKey) -> Int {
        contents.withLock { $0.held.values.count { $0.item.key == key && !$0.isLeased } }
    }
    /// How long nothing has been received or settled while nothing is held.
    var idleTime: Duration { contents.withLock { $0.held.isEmpty ? .now - $0.lastActivity : .zero } }

    // MARK: Leases

    /// How many tasks run on a lease.
    var leasedCount: Int { contents.withLock { $0.leased.count } }

    /// Tasks that run and were delivered before that moment.
    func due(before limit: ContinuousClock.Instant) -> [(task: BatchTask, item: InboxItem, lease: TaskLease?)] {
        contents.withLock { contents in
            contents.held.values.compactMap { holding in
                guard let task = holding.task, !holding.isClosing, holding.isDue(limit) else { return nil }
                return (task, holding.item, holding.lease)
            }
        }
    }

    /// Notes the lease that is about to be written for a task; false where it ends just now.
    func offer(_ lease: TaskLease, to item: InboxItem) -> Bool {
        contents.withLock { contents in
            guard contents.held[item.token]?.isClosing == false else { return false }
            contents.held[item.token]?.lease = lease
            return true
        }
    }

    /// Notes that the lease of a task is written; returns the deliveries to acknowledge, nil where it ends just now.
    func completeLease(of item: InboxItem) -> [Delivery.Token]? {
        contents.withLock { contents in
            guard var holding = contents.held[item.token], !holding.isClosing else { return nil }
            let owed = holding.owed
            holding.isLeased = true
            holding.redeliveries = []
            contents.held[item.token] = holding
            contents.leased.insert(item.token)
            return owed
        }
    }

    /// Running tasks whose permit was taken before that moment, or that lack one.
    func permitsDue(before limit: ContinuousClock.Instant) -> [InboxItem] {
        contents.withLock { contents in
            contents.held.values.filter { holding in
                holding.task != nil && !holding.isClosing
                    && (holding.lacksPermit || (holding.item.permit != nil && holding.permitSince < limit))
            }.map(\.item)
        }
    }

    /// Takes the permit of a running task away to renew it; nil where the task ends just now or has none.
    func takePermit(of item: InboxItem) -> Delivery? {
        contents.withLock { contents in
            guard var holding = contents.held[item.token], !holding.isClosing,
                let permit = holding.item.permit
            else { return nil }
            holding.item.permit = nil
            holding.lacksPermit = true
            contents.held[item.token] = holding
            return permit
        }
    }

    /// Gives a task a permit; false where the task has ended meanwhile.
    func givePermit(_ permit: Delivery, to item: InboxItem) -> Bool {
        contents.withLock { contents in
            guard var holding = contents.held[item.token], !holding.isClosing else { return false }
            holding.item.permit = permit
            holding.permitSince = .now
            holding.lacksPermit = false
            contents.held[item.token] = holding
            return true
        }
    }

    /// Notes that a task needs no permit any more.
    func excuse(_ item: InboxItem) {
        contents.withLock { $0.held[item.token]?.lacksPermit = false }
    }

    /// Waiting deliveries that came before that moment.
    func unstarted(before limit: ContinuousClock.Instant) -> Set<Delivery.Token> {
        contents.withLock { contents in
            Set(contents.held.filter { $0.value.task == nil && !$0.value.isClosing && $0.value.since < limit }.keys)
        }
    }
}

extension WorkerState.Contents {
    /// Lets the task of a delivery begin, or says why not.
    mutating func admit(_ assignment: Assignment, mayRun: Bool, isPaused: Bool) -> WorkerState.Admission {
        let batch = assignment.task.batch
        // The connection was lost before the broker could be told that it has an outcome.
        if recent.contains(assignment.task) { return .finished }
        let isRunning = running[batch]?.contains(assignment.task.index)
        if isRunning == true, adopt(assignment.item, assignment.task) { return .joined }
        guard mayRun, assignment.mayRun, halted[batch] != assignment.record.continuations else { return .refused }
        if isPaused { return .paused }
        held[assignment.item.token]?.$task = assignment.$task
        // Of a batch with a task that runs, one has begun before.
        let isFirst = isRunning == nil && begun.insert(batch).inserted
        running[batch, default: []].insert(assignment.task.index)
        return .begun(isFirst: isFirst)
    }

    /// Forgets a delivery, and returns what was known of it.
    @discardableResult
    mutating func letGo(_ token: Delivery.Token) -> HeldTask? {
        if !leased.isEmpty { leased.remove(token) }
        return held.removeValue(forKey: token)
    }

    /// Lets a delivery of a task that seems to run here already end as that one does; false where it does not run.
    ///
    /// After a lost connection the broker gives a task again that its worker still runs, often to the same worker.
    mutating func adopt(_ item: InboxItem, _ task: BatchTask) -> Bool {
        let token = item.token
        guard
            let runner = held.first(where: { key, holding in
                key != token && !holding.isClosing && holding.task?.id == task.id
                    && holding.task?.generation == task.generation
            })?.key
        else { return false }
        let since = letGo(token)?.since ?? .now
        held[runner]?.redeliveries.append(HeldTask.Redelivery(item: item, since: since))
        return true
    }
}
