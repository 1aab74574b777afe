import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// Keeps the broker from taking tasks back from a worker that is only slow.
///
/// A broker waits for an acknowledgement for a limited time. After a third of that, a running task is put into the
/// results log of its batch, and its delivery is acknowledged: from then on the task is on a *lease*, which lasts as
/// long as the worker holds a lock of its own. If the lock is free although the task has no outcome, the aggregator
/// puts the task back.
actor LeaseKeeper {
    private let client: SheafClient
    private let ledger: SharedTaskLedger
    private let settler: TaskSettler
    private let fetcher: TaskFetcher
    private let permits: PermitPool
    private let observer: (any WorkerObserver)?
    private let timing: WorkerTiming
    /// A third of the broker's time-out.
    private let patience: Duration
    /// Names this worker's leases and its lock.
    nonisolated let id = LeaseKeeper.randomID()
    private var lock: (any BrokerLock)?
    private var isTakingLock = false
    private var complainedAt: ContinuousClock.Instant?

    init(_ context: WorkerContext, settler: TaskSettler, fetcher: TaskFetcher, permits: PermitPool) {
        self.client = context.client
        self.ledger = context.ledger
        self.settler = settler
        self.fetcher = fetcher
        self.permits = permits
        self.observer = context.configuration.observer
        self.timing = context.configuration.timing
        self.patience = context.configuration.acknowledgementTimeout / 3
    }

    /// Renews permits and leases until cancelled.
    func run() async throws {
        while true {
            try await Task.sleep(for: min(patience / 4, timing.leaseInterval))
            do {
                try await look(before: .now - patience)
            } catch let error as BrokerError {
                guard error.isRetryable else { throw error }
                complain(of: error)
            }
        }
    }

    /// Releases the lock; for the end of the worker, when no task is on a lease.
    func release() async {
        await lock?.release()
        lock = nil
    }

    private func look(before limit: ContinuousClock.Instant) async throws {
        // A lock that was lost with its connection is taken again at once, before the aggregator believes this worker
        // dead.
        if ledger.withLock({ $0.hasLeases }) { _ = try await holdsLock() }
        try await fetcher.giveBackStale(before: limit)
        for request in ledger.withLock({ $0.leasesDue(before: limit) }) { try await lease(request) }
        try await permits.renew(before: limit)
    }

    private func lease(_ request: TaskLedger.LeaseRequest) async throws {
        let (delivery, task) = (request.delivery, try BatchTask(request.delivery.delivery.message))
        guard try await holdsLock() else { return }
        let lease =
            request.lease
            ?? TaskLease(id: Self.randomID(), index: task.index, generation: task.generation, worker: id)
        guard ledger.withLock({ $0.offer(lease, to: delivery) }) else { return }
        let log = client.names.results(batch: task.batch)
        do {
            try await append(lease.message(of: task), to: log)
            if let settlement = ledger.withLock({ $0.completeLease(of: delivery) }) {
                client.logger.info("task \(task.id) takes long: from now on it runs on a lease")
                observer?.taskLeased(batch: task.batch, index: task.index, generation: task.generation)
                try await settler.acknowledgeLeased(settlement)
            } else {
                // It has ended meanwhile. If that was with an outcome, this changes nothing.
                try await append(ResultMessage.returned(batch: task.batch, lease: lease.id), to: log)
            }
        } catch let error as BrokerError {
            // Without its log the batch is over, or lost; the outcome writer and the aggregator handle that.
            guard error.code == .notFound else { throw error }
            client.logger.debug("task \(task.id) gets no lease: \(error)")
        }
    }

    private func append(_ message: Message, to log: String) async throws {
        let broker = client.broker
        try await finishing(within: timing.lastPatience) { try await broker.append(message, to: log) }
    }

    /// Takes the lock, however many tries that needs.
    func takeLock() async throws {
        var backoff = Backoff()
        while try await !retrying({ try await self.holdsLock() }) { try await backoff.pause() }
    }

    /// Takes the lock if this worker does not have it; returns false if another part of the worker is taking it, or the
    /// worker's own lost connection still holds it.
    private func holdsLock() async throws -> Bool {
        if let lock, await lock.isHeld { return true }
        if isTakingLock { return false }
        isTakingLock = true
        defer { isTakingLock = false }
        lock = try await client.broker.acquireLock(client.names.workerLock(id))
        return lock != nil
    }

    private func complain(of error: BrokerError) {
        if let complainedAt, .now - complainedAt < timing.complaintInterval { return }
        complainedAt = .now
        client.logger.warning("cannot put tasks that take long into the results log for now: \(error)")
    }

    static func randomID() -> String {
        (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined()
    }
}

/// A bulk that this worker holds.
struct HeldBulk: Sendable {
    let id: String
    let batch: Name
    /// How often it was handed over.
    let turn: Int
}

/// Puts tasks that run as a bulk, and the memo of their flow, into the results log of their batch.
///
/// These tasks are on the worker's lease from the beginning. The order of the log decides which worker holds which
/// tasks, so what was written is read back before it is relied on.
struct BulkLeases: Sendable {
    private let client: SheafClient
    private let followers: FoldFollowers
    private let ledger: SharedTaskLedger
    private let lifecycle: WorkerLifecycle
    private let settler: TaskSettler
    private let keeper: LeaseKeeper
    private let observer: (any WorkerObserver)?
    private let timing: WorkerTiming

    /// The bulk was handed over to another worker, because this one seemed to be gone.
    struct BulkLost: Error {}

    init(_ context: WorkerContext, settler: TaskSettler, keeper: LeaseKeeper) {
        self.client = context.client
        self.followers = context.followers
        self.ledger = context.ledger
        self.lifecycle = context.lifecycle
        self.settler = settler
        self.keeper = keeper
        self.observer = context.configuration.observer
        self.timing = context.timing
    }

    // MARK: Gathering

    /// Begins a bulk of a batch.
    func makeBulk(of batch: Name) -> HeldBulk {
        HeldBulk(id: LeaseKeeper.randomID(), batch: batch, turn: 0)
    }

    /// Leases tasks that join a bulk, and acknowledges their deliveries.
    ///
    /// - Returns: Those that have joined it, without those that have ended meanwhile.
    func add(_ assignments: ArraySlice<Assignment>, to bulk: HeldBulk) async throws -> [Assignment] {
        try await keeper.takeLock()
        let offered = assignments.compactMap { assignment -> (assignment: Assignment, lease: TaskLease)? in
            var lease = TaskLease(of: assignment.task, in: bulk.id, worker: keeper.id)
            lease.predecessor = TaskLease.predecessor(of: assignment.delivery.delivery.message)
            lease.losses = assignment.lostBulks
            let isOffered = ledger.withLock { [lease] in $0.offer(lease, to: assignment.delivery) }
            return isOffered ? (assignment, lease) : nil
        }
        try await append(offered.map { $0.lease.message(of: $0.assignment.task) }, to: bulk.batch)
        var settlement = PendingSettlement()
        let members = offered.filter { join($0.assignment, $0.lease, adding: &settlement) }.map(\.assignment)
        try await settler.acknowledgeLeased(settlement)
        return members
    }

    /// Returns the tasks that this worker holds in a bulk, according to the log: of a task that was delivered twice,
    /// another worker may have the other copy.
    func confirmed(_ assignments: [Assignment], in bulk: HeldBulk) async throws -> [Assignment] {
        let state = try await retrying { try await followers[bulk.batch].catchUp() }
        guard let found = state.bulks[bulk.id], isHeld(found, as: bulk) else { return [] }
        return assignments.filter { state.leases[$0.task.index]?.bulk == bulk.id }
    }

    /// Records that a task has joined a bulk; returns false if it has ended meanwhile.
    private func join(
        _ assignment: Assignment,
        _ lease: TaskLease,
        adding settlement: inout PendingSettlement
    ) -> Bool {
        guard let owed = ledger.withLock({ $0.completeLease(of: assignment.delivery, joining: lease) }) else {
            return false
        }
        settlement.add(owed)
        let task = assignment.task
        observer?.taskLeased(batch: task.batch, index: task.index, generation: task.generation)
        return true
    }

    // MARK: Memos

    /// Stores the memo of a bulk, and returns once it is confirmed that this worker still held the bulk then.
    ///
    /// - Parameters:
    ///   - memo: What the flow wants to have remembered.
    ///   - bulk: The bulk.
    ///   - open: Returns the tasks that have no result yet.
    /// - Returns: Those of them that have an outcome all the same, from an earlier holder of the bulk.
    func remember(
        _ memo: BulkMemo,
        of bulk: HeldBulk,
        open: @Sendable () -> [Assignment]
    ) async throws -> [Assignment] {
        try await keeper.takeLock()
        let event = BulkEvent(bulk: bulk.id, turn: bulk.turn, .remembered)
        try await append([event.message(of: bulk.batch, memo: memo.bytes)], to: bulk.batch)
        let state = try await retrying { try await followers[bulk.batch].catchUp() }
        var isHeld = state.bulks[bulk.id].map { self.isHeld($0, as: bulk) } ?? false
        let ended = open().filter { assignment in
            let task = assignment.task
            if state.leases[task.index]?.bulk == bulk.id { return false }
            let hasEnded = state.generation(of: task.index) > task.generation || state.isSettled(task.index)
            if !hasEnded { isHeld = false }
            return hasEnded
        }
        guard isHeld else { throw BulkLost() }
        return ended
    }

    private func isHeld(_ found: Bulks.Bulk, as bulk: HeldBulk) -> Bool {
        found.worker == keeper.id && found.turn == bulk.turn
    }

    // MARK: Handing over

    /// Takes over the bulk that a task stands for.
    ///
    /// - Returns: The bulk with its newest memo and its tasks without an outcome; nil if another worker has it, or all
    ///   of them have outcomes.
    func adopt(_ handOver: BulkHandOver, with first: Assignment) async throws -> (
        bulk: HeldBulk, memo: BulkMemo?, members: [Assignment]
    )? {
        try await keeper.takeLock()
        let batch = first.task.batch
        let bulk = HeldBulk(id: handOver.bulk, batch: batch, turn: handOver.turn)
        let event = BulkEvent(bulk: bulk.id, turn: bulk.turn, .adopted(worker: keeper.id))
        try await append([event.message(of: batch)], to: batch)
        let state = try await retrying { try await followers[bulk.batch].catchUp() }
        guard let found = state.bulks[bulk.id], isHeld(found, as: bulk) else { return nil }
        let memo = try await retrying { try await followers[batch].memo(of: found) }.flatMap { try? BulkMemo($0) }
        if found.memo != nil, memo == nil {
            client.logger.error(
                """
                batch \(batch): a bulk of \(found.tasks.count) tasks does not run, because its memo cannot be read \
                and its job would be submitted twice; look for the job at its provider, then cancel the batch
                """
            )
            return nil
        }
        var members: [Assignment] = []
        var settlement = PendingSettlement()
        for (lease, task) in try await retrying({ try await followers[batch].tasks(of: found, in: state) }) {
            if TaskKey(task) == TaskKey(first.task) {
                if join(first, lease, adding: &settlement) { members.append(first) }
                continue
            }
            let queue = client.names.tasks(flow: task.flow, batch: batch, generation: task.generation)
            let delivery = ledger.withLock {
                $0.adopt(task, lease: lease, queue: queue, now: .now)
            }
            let (definition, info) = (first.definitionReference, first.infoReference)
            members.append(Assignment(task, delivery, definition, info, revision: first.revision))
        }
        // From here on the tasks must be handed over, even if the worker leaves meanwhile.
        try await withoutCancellation { [settlement] in try await settler.acknowledgeLeased(settlement) }
        return (bulk, memo, members)
    }

    /// Lets another worker take over a bulk at once.
    ///
    /// If that cannot be written, it is tried again until this worker leaves, and then the aggregator does it.
    func handOver(_ bulk: HeldBulk, by task: BatchTask) async {
        let next = BulkHandOver(bulk: bulk.id, turn: bulk.turn + 1)
        let offer = BulkEvent(bulk: bulk.id, turn: next.turn, .offered).message(of: bulk.batch)
        let queue = client.names.tasks(flow: task.flow, batch: task.batch, generation: task.generation)
        let (client, log) = (client, client.names.results(batch: bulk.batch))
        do {
            var isWritten = false
            repeat {
                isWritten =
                    try await within(timing.returnPatience) {
                        try await retrying { try await client.broker.publish(next.message(of: task), to: queue) }
                        try await retrying { try await client.broker.append(offer, to: log) }
                        return true
                    } ?? false
            } while !isWritten && !lifecycle.isLeaving && !Task.isCancelled
        } catch {
            client.logger.debug("cannot hand over bulk \(bulk.id): \(error)")
        }
    }

    private func append(_ messages: [Message], to batch: Name) async throws {
        let (broker, log) = (client.broker, client.names.results(batch: batch))
        try await finishing(within: timing.lastPatience) {
            try await retrying { try await broker.append(messages, to: log) }
        }
    }
}
