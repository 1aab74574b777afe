import Logging
import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// A bulk that this worker holds.
struct HeldBulk: Sendable {
    let id: String
    /// What the leases of its tasks have in common.
    let membership: BulkMembership
    let batch: Name
    /// How often it was handed over.
    let turn: Int
    /// Where the messages of its tasks are; nil if they are in memory, because there is no room for a file.
    let spill: TaskSpill?

    init(id: String, worker: String, batch: Name, turn: Int, spill: TaskSpill?) {
        self.id = id
        self.batch = batch
        self.turn = turn
        self.spill = spill
        membership = BulkMembership(bulk: id, worker: worker)
    }
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
        HeldBulk(id: LeaseKeeper.randomID(), worker: keeper.id, batch: batch, turn: 0, spill: makeSpill())
    }

    private func makeSpill() -> TaskSpill? {
        do {
            return try TaskSpill()
        } catch {
            client.logger.warning("the tasks of a bulk stay in memory: \(error)")
            return nil
        }
    }

    /// Returns deliveries whose messages are in the file of a bulk; the same ones if that cannot be written.
    private func spilled(_ deliveries: [TaskDelivery], to bulk: HeldBulk) -> [TaskDelivery] {
        guard let spill = bulk.spill else { return deliveries }
        do {
            let messages = try spill.add(deliveries.map { try $0.message() })
            var last: TaskDelivery?
            return zip(deliveries, messages).map { delivery, message in
                let spilled = delivery.spilled(to: message, like: last)
                last = spilled
                return spilled
            }
        } catch {
            client.logger.warning("\(deliveries.count) tasks of a bulk stay in memory: \(error)")
            return deliveries
        }
    }

    /// Leases tasks that join a bulk, and acknowledges their deliveries.
    ///
    /// - Returns: Those that have joined it, without those that have ended meanwhile.
    func add(_ assignments: [Assignment], to bulk: HeldBulk) async throws -> [BulkMember] {
        try await keeper.takeLock()
        let offered = try assignments.compactMap { assignment -> (assignment: Assignment, lease: TaskLease)? in
            var lease = TaskLease(of: assignment.task, in: bulk.id, worker: keeper.id)
            lease.predecessor = TaskLease.predecessor(of: try assignment.delivery.message())
            lease.losses = assignment.lostBulks
            let isOffered = ledger.withLock { [lease] in $0.offer(lease, to: assignment.delivery) }
            return isOffered ? (assignment, lease) : nil
        }
        try await append(offered.map { $0.lease.message(of: $0.assignment.task) }, to: bulk.batch)
        var settlement = PendingSettlement()
        let deliveries = spilled(offered.map(\.assignment.delivery), to: bulk)
        var members: [BulkMember] = []
        for ((assignment, _), delivery) in zip(offered, deliveries) {
            let member = BulkMember(assignment, delivery, like: members.last)
            if join(member, bulk, adding: &settlement) { members.append(member) }
        }
        try await settler.acknowledgeLeased(settlement)
        return members
    }

    /// Returns the tasks that this worker holds in a bulk, according to the log: of a task that was delivered twice,
    /// another worker may have the other copy.
    func confirmed(_ members: [BulkMember], in bulk: HeldBulk) async throws -> [BulkMember] {
        let state = try await retrying { try await followers[bulk.batch].catchUp() }
        guard let found = state.bulks[bulk.id], isHeld(found, as: bulk) else { return [] }
        return members.filter { state.leases.bulk(of: $0.index) == bulk.id }
    }

    /// Records that the flow runs next: from now on the loss of this worker may be the fault of a task.
    func begin(_ bulk: HeldBulk) async throws {
        try await append([BulkEvent(bulk: bulk.id, turn: bulk.turn, .begun).message(of: bulk.batch)], to: bulk.batch)
    }

    /// Records that a task has joined a bulk; returns false if it has ended meanwhile.
    private func join(
        _ member: BulkMember,
        _ bulk: HeldBulk,
        adding settlement: inout PendingSettlement
    ) -> Bool {
        guard let owed = ledger.withLock({ $0.completeLease(of: member.delivery, joining: bulk.membership) }) else {
            return false
        }
        settlement.add(owed)
        observer?.taskLeased(batch: member.batch, index: member.index, generation: member.generation)
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
        open: @Sendable () -> [BulkMember]
    ) async throws -> [BulkMember] {
        try await keeper.takeLock()
        let event = BulkEvent(bulk: bulk.id, turn: bulk.turn, .remembered)
        try await append([event.message(of: bulk.batch, memo: memo.bytes)], to: bulk.batch)
        let state = try await retrying { try await followers[bulk.batch].catchUp() }
        var isHeld = state.bulks[bulk.id].map { self.isHeld($0, as: bulk) } ?? false
        let ended = open().filter { member in
            if state.leases.bulk(of: member.index) == bulk.id { return false }
            let hasEnded = state.generation(of: member.index) > member.generation || state.isSettled(member.index)
            if !hasEnded { isHeld = false }
            return hasEnded
        }
        guard isHeld else { throw BulkLost() }
        return ended
    }

    private func isHeld(_ found: Bulks.Bulk, as bulk: HeldBulk) -> Bool {
        found.worker == keeper.id && found.turn == bulk.turn
    }

    // MARK: Taking over

    /// Takes over the bulk that a task stands for.
    ///
    /// - Returns: The bulk with its newest memo and its tasks without an outcome; nil if another worker has it, or all
    ///   of them have outcomes.
    func adopt(_ handOver: BulkHandOver, with first: Assignment) async throws -> (
        bulk: HeldBulk, memo: BulkMemo?, members: [BulkMember]
    )? {
        try await keeper.takeLock()
        let batch = first.task.batch
        let bulk = HeldBulk(
            id: handOver.bulk,
            worker: keeper.id,
            batch: batch,
            turn: handOver.turn,
            spill: makeSpill()
        )
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
        var members: [BulkMember] = []
        var settlement = PendingSettlement()
        let leases = found.tasks.compactMap { state.leases[$0] }
            .filter { $0.generation == state.generation(of: $0.index) }.sorted { $0.offset < $1.offset }
        for start in stride(from: 0, to: leases.count, by: BulkGathering.window) {
            let some = leases[start..<min(start + BulkGathering.window, leases.count)]
            let tasks = try await retrying { try await followers[batch].tasks(of: some) }
            members += join(tasks, of: bulk, first, adding: &settlement)
        }
        // From here on the tasks must be handed over, even if the worker leaves meanwhile.
        try await withoutCancellation { [settlement] in try await settler.acknowledgeLeased(settlement) }
        return (bulk, memo, members)
    }

    /// Lets tasks that the results log has join a bulk that is taken over; returns them.
    private func join(
        _ tasks: [(lease: TaskLease, task: BatchTask)],
        of bulk: HeldBulk,
        _ first: Assignment,
        adding settlement: inout PendingSettlement
    ) -> [BulkMember] {
        var members: [BulkMember] = []
        var adopted: [(task: BatchTask, delivery: TaskDelivery)] = []
        for (lease, task) in tasks {
            if TaskKey(task) == TaskKey(first.task) {
                let member = BulkMember(first, first.delivery)
                if join(member, bulk, adding: &settlement) { members.append(member) }
                continue
            }
            let queue = client.names.tasks(flow: task.flow, batch: task.batch, generation: task.generation)
            let delivery = ledger.withLock {
                $0.adopt(task, lease: lease, of: bulk.membership, queue: queue, now: .now)
            }
            adopted.append((task, delivery))
        }
        let deliveries = spilled(adopted.map(\.delivery), to: bulk)
        ledger.withLock { $0.keep(deliveries) }
        for ((task, _), delivery) in zip(adopted, deliveries) {
            members.append(BulkMember(Assignment(task, delivery, like: first), delivery, like: members.last))
        }
        return members
    }

    // MARK: Handing over

    /// Lets another worker take over a bulk at once.
    ///
    /// If that cannot be written, it is tried again until this worker leaves, and then the aggregator does it.
    func handOver(_ bulk: HeldBulk, by task: BatchTask) async {
        let next = BulkHandOver(bulk: bulk.id, turn: bulk.turn + 1)
        let offer = BulkEvent(bulk: bulk.id, turn: next.turn, .offered).message(of: bulk.batch)
        let queue = client.names.suspects(flow: task.flow)
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
