import SheafBatches
import SheafBroker
import SheafCore

/// The life of each task that a worker holds, from its delivery to its settlement.
///
/// ```text
/// received ─► waiting ─► running ─► confirmed ─► released       the outcome is in the log: acknowledge
///               ▲ │        │  ▲
///               │ │        ▼  │
///               │ │      deferred                               waits for its rate limit, or holds a lease
///               │ └────────┴──────► settling ─► released        returned, published again or rejected
///               └── withdrawn
/// ```
///
/// It is pure: it performs no I/O, takes no lock and reads no clock. Each transition returns what its caller has to do.
struct TaskLedger: Sendable {
    typealias Instant = ContinuousClock.Instant
    typealias Token = Delivery.Token

    private(set) var held: [Token: Entry] = [:]
    private var tallies = QueueTallies()
    // Apart from `held`, because each fetch asks for the count while thousands may be held.
    private var leased: Set<Token> = []
    /// The same for tasks of bulks, which share a slot.
    private var bulked: Set<Token> = []
    /// How many tasks were taken over together with a bulk, each without a delivery.
    private var adoptions: UInt64 = 0
    private var running: [Name: RunningTasks] = [:]
    /// The batches whose deciding failure was seen here, and how often each had been resumed then.
    private var halted: [Name: Int] = [:]
    private var begun: Set<Name> = []
    private var recent = RecentTasks()
    private var lastActivity: Instant

    init(now: Instant) { lastActivity = now }

    // MARK: Receiving and beginning

    /// Records deliveries, which are to be settled from now on.
    mutating func receive(_ deliveries: [TaskDelivery], now: Instant) {
        for delivery in deliveries { hold(Entry(delivery, now)) }
        lastActivity = now
    }

    /// Forgets deliveries that the broker has taken back, because their connection was lost before they began.
    ///
    /// - Returns: Those that stay, because their task is on a lease and the results log, not the broker, has it.
    mutating func lose(_ deliveries: [TaskDelivery], now: Instant) -> [TaskDelivery] {
        let kept = deliveries.filter { leased.contains($0.token) || bulked.contains($0.token) }
        let keptTokens = Set(kept.map(\.token))
        release(deliveries.lazy.map(\.token).filter { !keptTokens.contains($0) }, now: now)
        return kept
    }

    /// Lets the task of a delivery begin, or returns what else to do with it.
    ///
    /// - Parameters:
    ///   - candidate: The task and its delivery.
    ///   - isStalled: Whether outcomes cannot be written at the moment.
    ///   - isPaused: Whether the service that it calls has asked for a pause.
    mutating func admit(_ candidate: Candidate, isStalled: Bool, isPaused: Bool) -> Admission {
        let (task, token) = (candidate.task, candidate.delivery.token)
        // The connection was lost before the broker could be told that the task has an outcome.
        if recent.contains(task) { return .acknowledge }
        let runner = running[task.batch].map { $0[task.index] }
        if let runner = runner ?? nil, attach(candidate, to: runner) { return .none }
        guard candidate.mayRun, !isStalled, halted[task.batch] != candidate.continuations else { return .giveBack }
        if isPaused { return .wait }
        guard let place = held.index(forKey: token) else { return .none }
        var attempt = Attempt(task: task, number: candidate.attempt)
        switch held.values[place].state {
        case .waiting: break
        case .deferred(let earlier): attempt.lease = earlier.lease
        case .running, .settling, .confirmed: return .none
        }
        held.values[place].state = .running(attempt)
        // If another task of the batch runs, one has begun before.
        let isFirst = runner == nil && begun.insert(task.batch).inserted
        running[task.batch, default: RunningTasks()].insert(task.index, token, in: attempt.lease.bulk)
        return .begin(isFirst: isFirst)
    }

    /// Lets the tasks of several deliveries begin, or returns what else to do with each.
    mutating func admit(_ candidates: [Candidate], isStalled: Bool, isPaused: Bool) -> [Admission] {
        candidates.map { admit($0, isStalled: isStalled, isPaused: isPaused) }
    }

    /// Attaches a redelivery to the task that is already running here, so that both are settled together.
    ///
    /// After a lost connection the broker delivers a task again that its worker still runs, often to the same worker.
    /// A later attempt is no redelivery: it was published when the running one had failed, and may arrive before that
    /// one is settled.
    ///
    /// - Returns: False if that delivery does not run the same task, or runs an earlier attempt at it.
    private mutating func attach(_ candidate: Candidate, to runner: Token) -> Bool {
        let token = candidate.delivery.token
        guard runner != token, case .running(let attempt) = held[runner]?.state, attempt.task == candidate.task,
            candidate.attempt <= attempt.number, let since = held[token]?.since
        else { return false }
        forget(token)
        held[runner]?.redeliveries.append(Redelivery(delivery: candidate.delivery, since: since))
        return true
    }

    /// Records how the attempts at the tasks of some deliveries are cancelled.
    mutating func begin(_ deliveries: [TaskDelivery], cancelledBy cancel: @escaping @Sendable () -> Void) {
        for delivery in deliveries {
            guard let place = held.index(forKey: delivery.token),
                case .running(var attempt) = held.values[place].state
            else { continue }
            attempt.cancel = cancel
            held.values[place].state = .running(attempt)
        }
    }

    /// Returns what cancels the attempts at tasks of a batch.
    func attempts(of batch: Name) -> [@Sendable () -> Void] {
        running[batch, default: RunningTasks()].tokens.compactMap { held[$0]?.attempt?.cancel }
    }

    /// Lets a task that began wait in the inbox again, because the service it calls asked for a pause.
    ///
    /// It keeps its permit and its lease, and may still get a lease while it waits.
    mutating func deferTask(of delivery: TaskDelivery) {
        guard case .running(var attempt) = held[delivery.token]?.state else { return }
        attempt.cancel = nil
        held[delivery.token]?.state = .deferred(attempt)
        stopRunning(attempt.task, delivery.token)
    }

    /// Lets tasks that were admitted and whose turn did not come wait in the inbox again.
    mutating func withdraw(_ deliveries: [TaskDelivery]) {
        for delivery in deliveries {
            guard case .running(var attempt) = held[delivery.token]?.state else { continue }
            attempt.cancel = nil
            // The results log has it, or may have it: what becomes of it has to be written there.
            held[delivery.token]?.state = attempt.knownLease == nil ? .waiting : .deferred(attempt)
            stopRunning(attempt.task, delivery.token)
        }
    }

    // MARK: Ending

    /// Records that the outcomes of tasks of one batch are in the log, so that they are acknowledged and nothing else.
    mutating func confirm(_ deliveries: [TaskDelivery], of batch: Name, adding settlement: inout PendingSettlement) {
        var running = self.running.removeValue(forKey: batch) ?? RunningTasks()
        defer { if !running.isEmpty { self.running[batch] = running } }
        for delivery in deliveries {
            let token = delivery.token
            settlement.release(token)
            guard let place = held.index(forKey: token) else {
                settlement.add(delivery)
                continue
            }
            held.values[place].add(to: &settlement)
            guard let attempt = held.values[place].attempt else { continue }
            held.values[place].state = .confirmed(isLeased: attempt.lease.isWritten)
            if running[attempt.task.index] == token { running.remove(attempt.task.index) }
            recent.insert(attempt.task)
        }
    }

    /// Gives the caller alone the right to settle deliveries whose tasks have no outcome, and returns what is known
    /// of each.
    ///
    /// Closing twice returns the same again, for a caller whose first try to settle failed.
    mutating func close(_ deliveries: [TaskDelivery]) -> [Closed] {
        deliveries.map { delivery in
            guard let entry = held[delivery.token] else {
                var settlement = PendingSettlement(released: [delivery.token])
                settlement.add(delivery)
                return Closed(delivery: delivery, task: nil, lease: nil, isLeased: false, settlement: settlement)
            }
            var attempt = entry.attempt
            attempt?.cancel = nil
            switch entry.state {
            case .running, .deferred, .waiting: held[delivery.token]?.state = .settling(attempt)
            case .settling(let earlier): attempt = earlier
            case .confirmed: break
            }
            if let attempt { stopRunning(attempt.task, delivery.token) }
            var settlement = PendingSettlement(released: [delivery.token])
            entry.add(to: &settlement)
            return Closed(
                delivery: delivery,
                task: attempt?.task,
                lease: attempt?.knownLease,
                isLeased: entry.isLeased,
                settlement: settlement
            )
        }
    }

    /// Separates later deliveries of the same tasks from some deliveries, and returns them; they have not begun.
    mutating func detach(_ deliveries: [TaskDelivery]) -> [TaskDelivery] {
        deliveries.flatMap { delivery in
            let later = held[delivery.token]?.redeliveries ?? []
            if !later.isEmpty { held[delivery.token]?.redeliveries = [] }
            for redelivery in later { hold(Entry(redelivery.delivery, redelivery.since)) }
            return later.map(\.delivery)
        }
    }

    /// Forgets deliveries that are settled, or that the broker has taken back.
    mutating func release(_ tokens: some Sequence<Token>, now: Instant) {
        for token in tokens { forget(token) }
        lastActivity = now
    }

    private mutating func hold(_ entry: Entry) {
        if let old = held.updateValue(entry, forKey: entry.delivery.token) { tallies.add(old, -1) }
        tallies.add(entry, 1)
    }

    private mutating func forget(_ token: Token) {
        if !leased.isEmpty { leased.remove(token) }
        if !bulked.isEmpty { bulked.remove(token) }
        guard let entry = held.removeValue(forKey: token) else { return }
        tallies.add(entry, -1)
        if case .running(let attempt) = entry.state { stopRunning(attempt.task, token) }
    }

    private mutating func stopRunning(_ task: TaskKey, _ token: Token) {
        guard running[task.batch]?[task.index] == token else { return }
        running[task.batch]?.remove(task.index)
        if running[task.batch]?.isEmpty == true { running[task.batch] = nil }
    }

    // MARK: Leases

    /// The tasks that began and whose delivery, or a later one, came before a time: the broker would soon take them
    /// back.
    func leasesDue(before limit: Instant) -> [LeaseRequest] {
        held.values.compactMap { entry in
            guard let attempt = entry.attempt,
                (!attempt.lease.isWritten && entry.since < limit)
                    || entry.redeliveries.contains(where: { $0.since < limit })
            else { return nil }
            return LeaseRequest(delivery: entry.delivery, task: attempt.task, lease: attempt.knownLease)
        }
    }

    /// Records the lease that is about to be written for a task.
    ///
    /// - Returns: False if the task is just ending, so that the lease must not be written.
    mutating func offer(_ lease: TaskLease, to delivery: TaskDelivery) -> Bool {
        guard let attempt = held[delivery.token]?.attempt else { return false }
        if !attempt.lease.isWritten { held[delivery.token]?.attempt?.lease = .offered(lease) }
        return true
    }

    /// Records that the offered lease of a task is in the log.
    ///
    /// - Parameters:
    ///   - delivery: The task's delivery.
    ///   - membership: What the leases have in common of the bulk that the task joins; nil if it joins none.
    /// - Returns: The deliveries to acknowledge and the permits that came with redeliveries; nil if the task ended
    ///   meanwhile.
    mutating func completeLease(
        of delivery: TaskDelivery,
        joining membership: BulkMembership? = nil
    ) -> PendingSettlement? {
        guard let entry = held[delivery.token], let attempt = entry.attempt,
            let lease = membership.map({ .joined($0) }) ?? attempt.knownLease.map({ Lease.written($0) })
        else { return nil }
        let settlement = entry.leaseSettlement
        if !entry.isLeased { tallies.noteLease(of: delivery.queue) }
        held[delivery.token]?.attempt?.lease = lease
        if running[attempt.task.batch]?[attempt.task.index] == delivery.token {
            running[attempt.task.batch]?.insert(attempt.task.index, delivery.token, in: lease.bulk)
        }
        held[delivery.token]?.redeliveries = []
        keep([delivery])
        if lease.bulk == nil {
            leased.insert(delivery.token)
        } else {
            leased.remove(delivery.token)
            bulked.insert(delivery.token)
        }
        return settlement
    }

    /// Lets a task run that was taken over with its bulk; the results log has it, and no queue.
    ///
    /// If another slot has the task too, that is a copy, or belongs to an earlier turn of the bulk. That slot learns it
    /// from the log, and settles its own delivery.
    ///
    /// - Parameters:
    ///   - task: The task.
    ///   - lease: Its lease.
    ///   - membership: What the leases of its bulk have in common.
    ///   - queue: The name of the task's queue, to which it returns if it is not run.
    ///   - now: The time.
    /// - Returns: What stands for its delivery.
    mutating func adopt(
        _ task: BatchTask,
        lease: TaskLease,
        of membership: BulkMembership,
        queue: String,
        now: Instant
    ) -> TaskDelivery {
        adoptions += 1
        // No broker has such an epoch; nothing is ever owed to it, because the task is on its lease.
        let token = Token(epoch: .max, channel: 0, tag: adoptions)
        let delivery = TaskDelivery(
            Delivery(message: task.message, queue: queue, earlierDeliveries: 0, token: token),
            from: QueueKey(batch: task.batch, generation: task.generation)
        )
        var entry = Entry(delivery, now)
        let kept = lease.hasDerivedID ? Lease.joined(membership) : .written(lease)
        entry.state = .running(Attempt(task: TaskKey(task), number: task.attempt, lease: kept))
        hold(entry)
        bulked.insert(token)
        running[task.batch, default: RunningTasks()].insert(task.index, token, in: lease.bulk)
        return delivery
    }

    /// Keeps deliveries in the form that is given now: their messages may have been written to a file.
    mutating func keep(_ deliveries: [TaskDelivery]) {
        for delivery in deliveries { held[delivery.token]?.delivery = delivery }
    }

    /// The lease of a task that has begun.
    func lease(of delivery: TaskDelivery) -> TaskLease? { held[delivery.token]?.attempt?.knownLease }

    /// How many tasks occupy slots on a lease, each one.
    var leasedCount: Int { leased.count }
    /// Whether the results log has tasks that run here.
    var hasLeases: Bool { !(leased.isEmpty && bulked.isEmpty) }

    // MARK: Permits

    /// The tasks that began and whose permit was taken before a time, or is owed to them.
    func permitsDue(before limit: Instant) -> [TaskDelivery] {
        held.values.compactMap { entry in
            guard entry.attempt != nil else { return nil }
            switch entry.permit {
            case .none: return nil
            case .held(_, let since): return since < limit ? entry.delivery : nil
            case .owed: return entry.delivery
            }
        }
    }

    /// Takes the permit of a task away to renew it; nil if the task is just ending or has none.
    mutating func takePermit(of delivery: TaskDelivery) -> Delivery? {
        guard let entry = held[delivery.token], !entry.isClosing, case .held(let permit, _) = entry.permit else {
            return nil
        }
        held[delivery.token]?.permit = .owed
        return permit
    }

    /// Gives a permit to a task.
    ///
    /// - Returns: False if the task has ended meanwhile, so that the permit has to go back.
    mutating func givePermit(_ permit: Delivery, to delivery: TaskDelivery, now: Instant) -> Bool {
        guard held[delivery.token]?.isClosing == false else { return false }
        held[delivery.token]?.permit = .held(permit, since: now)
        return true
    }

    /// Records that a task no longer needs the permit that is owed to it.
    mutating func excuse(_ delivery: TaskDelivery) {
        if case .owed = held[delivery.token]?.permit { held[delivery.token]?.permit = .none }
    }

    // MARK: Batches

    /// Records that a batch is halted by a failure that was seen here, before the journal reports it.
    ///
    /// - Parameters:
    ///   - batch: The batch.
    ///   - continuations: How often it was resumed so far; resuming it once more lifts the halt.
    /// - Returns: Whether this is the first such failure since then.
    mutating func halt(_ batch: Name, continuations: Int) -> Bool {
        halted.updateValue(continuations, forKey: batch) != continuations
    }

    /// Whether a batch is halted by a failure that was seen here.
    func isHalted(_ batch: Name, continuations: Int) -> Bool { halted[batch] == continuations }

    // MARK: Looking at it

    /// How many deliveries are not settled.
    var count: Int { held.count }
    /// Whether every delivery is settled.
    var isEmpty: Bool { held.isEmpty }
    /// The task queues of those deliveries.
    var queues: Set<QueueKey> { Set(tallies.all.keys) }
    /// How many of them the broker counts against the prefetch of a queue's consumers.
    func count(of queue: QueueKey) -> Int { tallies.all[queue]?.owed ?? 0 }
    /// How long nothing was received or settled; zero while anything is held.
    func idleTime(_ now: Instant) -> Duration { held.isEmpty ? now - lastActivity : .zero }
    /// The indices of the running tasks that are in no bulk, by batch.
    var runningTasks: [Name: [Int]] { running.mapValues(\.indices).filter { !$0.value.isEmpty } }
    /// How many tasks run in each bulk, by batch.
    var runningBulks: [Name: [String: Int]] { running.mapValues(\.bulkCounts).filter { !$0.value.isEmpty } }
    /// The number of running tasks, by batch.
    var runningCounts: [Name: Int] { running.mapValues(\.count) }
    /// The batches with running tasks.
    var runningBatches: [Name] { Array(running.keys) }

    /// How many deliveries are held whose task does not run, by batch.
    var waitingCounts: [Name: Int] {
        var counts: [Name: Int] = [:]
        for (queue, tally) in tallies.all { counts[queue.batch, default: 0] += tally.held }
        for (batch, tasks) in running { counts[batch, default: 0] -= tasks.count }
        return counts.filter { $0.value > 0 }
    }

    /// The deliveries received before a time whose task has not begun.
    func unstarted(before limit: Instant) -> Set<Token> {
        Set(
            held.values.lazy.filter { if case .waiting = $0.state { $0.since < limit } else { false } }
                .map(\.delivery.token)
        )
    }

    /// What is left when the worker leaves: deliveries to acknowledge, because their outcome is in the log, and to
    /// return.
    var leftovers: (confirmed: [TaskDelivery], unfinished: [TaskDelivery]) {
        var leftovers: (confirmed: [TaskDelivery], unfinished: [TaskDelivery]) = ([], [])
        for entry in held.values {
            if case .confirmed = entry.state {
                leftovers.confirmed.append(entry.delivery)
            } else {
                leftovers.unfinished.append(entry.delivery)
            }
        }
        return leftovers
    }
}
