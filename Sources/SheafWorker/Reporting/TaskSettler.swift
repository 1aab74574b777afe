import Logging
import SheafBatches
import SheafBroker
import SheafCore
import Synchronization

/// Settles deliveries, with what goes with them: permits, leases, and later deliveries of the same task.
final class TaskSettler: Sendable {
    private let client: SheafClient
    private let journal: Journal
    private let ledger: SharedTaskLedger
    private let permits: PermitPool
    private let timing: WorkerTiming
    private let lifecycle: WorkerLifecycle
    private let hook = Mutex<(@Sendable (Int) async throws -> Void)?>(nil)

    init(_ context: WorkerContext, permits: PermitPool) {
        self.client = context.client
        self.journal = context.journal
        self.ledger = context.ledger
        self.permits = permits
        self.timing = context.timing
        self.lifecycle = context.lifecycle
    }

    /// Sets what is called with the number of deliveries before each settlement, which lets the broker send as many
    /// more.
    func beforeSettling(_ call: @escaping @Sendable (Int) async throws -> Void) { hook.withLock { $0 = call } }

    private func willSettle(_ count: Int) async throws { try await hook.withLock { $0 }?(count) }

    /// Settles deliveries and returns their permits; tasks that go back to a queue need ``giveBack(_:publishing:)``
    /// instead.
    func settle(_ deliveries: [TaskDelivery], as settlement: Settlement) async throws {
        if deliveries.isEmpty { return }
        try await willSettle(deliveries.count)
        try await end(PendingSettlement(ledger.withLock { $0.close(deliveries) }), as: settlement)
    }

    /// Acknowledges tasks whose outcomes are confirmed.
    ///
    /// If it throws before anything is settled, `isUntouched` is called.
    func acknowledge(_ settlement: PendingSettlement, isUntouched: () -> Void) async throws {
        do {
            try await willSettle(settlement.released.count)
        } catch {
            isUntouched()
            throw error
        }
        try await end(settlement, as: .acknowledged)
    }

    /// Acknowledges deliveries of tasks that continue to run, because the results log has those tasks now.
    func acknowledgeLeased(_ settlement: PendingSettlement) async throws {
        try await willSettle(settlement.owed.count)
        try await end(settlement, as: .acknowledged)
    }

    /// Acknowledges deliveries of tasks that were already put into a queue again.
    func settleMoved(_ deliveries: [TaskDelivery]) async throws {
        try await willSettle(deliveries.count)
        let closed = ledger.withLock { $0.close(deliveries) }
        await returnLeases(of: closed)
        try await end(PendingSettlement(closed), as: .acknowledged)
    }

    /// Returns tasks that are not to run here and now, without bringing them nearer to the dead letters.
    ///
    /// Each return counts towards the delivery limit, and so does each lost worker. So a task that came back before
    /// is published again instead and begins anew; and so are a suspect, which has few deliveries left, and a leased
    /// task, which is in no queue.
    ///
    /// - Parameters:
    ///   - deliveries: Deliveries of tasks that do not run.
    ///   - publishing: Whether all are published again, so that they wait at the end of their queue.
    func giveBack(_ deliveries: [TaskDelivery], publishing: Bool = false) async throws {
        if deliveries.isEmpty { return }
        try await willSettle(deliveries.count)
        let closed = ledger.withLock { $0.close(deliveries) }
        let mustBePublished = { (closed: TaskLedger.Closed) in
            let delivery = closed.delivery
            return publishing || closed.isLeased || delivery.batch == nil || delivery.earlierDeliveries > 0
        }
        try await giveBackUnpublished(closed.filter { !mustBePublished($0) })
        for (queue, group) in Dictionary(grouping: closed.filter(mustBePublished), by: home) {
            var rest = group[...]
            while !rest.isEmpty {
                let published = Array(rest.prefix(Self.chunk))
                guard try await publish(published, to: queue) else { break }
                await returnLeases(of: published)
                try await end(PendingSettlement(published), as: .acknowledged)
                rest = rest.dropFirst(published.count)
            }
            try await giveBackUnpublished(Array(rest))
        }
    }

    /// How many tasks are published at a time, so that a bulk of any size can be returned within the limit of time.
    private static let chunk = 500

    private func giveBackUnpublished(_ closed: [TaskLedger.Closed]) async throws {
        await returnLeases(of: closed.filter { !$0.isLeased })
        try await end(PendingSettlement(closed), as: .returned)
    }

    /// The queue that a returned task waits in; for a suspect whose batch is only halted, that of its batch.
    private func home(of closed: TaskLedger.Closed) -> String {
        let delivery = closed.delivery
        guard delivery.batch == nil, let task = try? BatchTask(delivery.message()), let info = journal[task.batch],
            info.ending == nil, info.cancelled == nil, !info.isRunnable, info.generations.contains(task.generation)
        else { return delivery.home }
        return client.names.tasks(flow: info.flow, batch: task.batch, generation: task.generation)
    }

    /// Publishes tasks again; returns false if the broker takes nothing for now, so that they have to be returned
    /// after all.
    ///
    /// A leased task cannot be returned in another way before this worker ends, so it is tried until then.
    private func publish(_ tasks: [TaskLedger.Closed], to queue: String) async throws -> Bool {
        let broker = client.broker
        let messages = try tasks.map { TaskLease.returning(try $0.delivery.message(), from: $0.lease?.id) }
        let mustSucceed = tasks.contains(where: \.isLeased)
        do {
            repeat {
                let isPublished = try await within(timing.returnPatience) {
                    try await retrying { try await broker.publish(messages, to: queue) }
                    return true
                }
                if isPublished == true { return true }
            } while mustSucceed && !lifecycle.isLeaving && !Task.isCancelled
            return false
        } catch let error as BrokerError {
            // A queue that is gone takes nothing back, and its tasks are no longer needed.
            guard error.code == .notFound else { throw error }
            return true
        }
    }

    /// Records in the results log that tasks are in a queue again, so that the aggregator does not put them there too.
    private func returnLeases(of closed: [TaskLedger.Closed]) async {
        for (batch, closed) in Dictionary(grouping: closed.filter { $0.lease != nil }, by: \.task?.batch) {
            guard let batch else { continue }
            let (client, log) = (client, client.names.results(batch: batch))
            let messages = closed.compactMap { $0.lease.map { ResultMessage.returned(batch: batch, lease: $0.id) } }
            do {
                _ = try await within(timing.returnPatience) {
                    try await retrying { try await client.broker.append(messages, to: log) }
                }
            } catch {
                client.logger.debug("cannot record that \(messages.count) leases end; tasks may run twice: \(error)")
            }
        }
    }

    /// Tells the broker how deliveries end, and lets the ledger forget them.
    private func end(_ pending: PendingSettlement, as settlement: Settlement) async throws {
        if pending.isEmpty { return }
        let broker = client.broker
        let deliveries = pending.owed
        let valid = pending.permits.filter { permits.isValid($0.permit, of: $0.batch) }.map(\.permit.token)
        let void = pending.permits.filter { !permits.isValid($0.permit, of: $0.batch) }.map(\.permit.token)
        do {
            try await finishing(within: timing.returnPatience) {
                for (deliveries, settlement) in [(deliveries, settlement), (valid, .returned), (void, .acknowledged)]
                where !deliveries.isEmpty {
                    // A broker that is blocked, or too slow, has not taken the deliveries back either: try again later.
                    try await retrying(while: [.blocked, .timedOut]) {
                        try await broker.settle(deliveries, as: settlement)
                    }
                }
            }
        } catch let error as BrokerError {
            guard error.isRetryable else { throw error }
            // The connection is lost, and with it the deliveries: the broker delivers them again.
            client.logger.warning("cannot settle \(deliveries.count) tasks, which are delivered again: \(error)")
        }
        if !pending.released.isEmpty { ledger.release(pending.released) }
    }
}
