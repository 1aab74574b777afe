import Logging
import SheafBatches
import SheafBroker
import SheafCore

/// How deliveries end, with what goes with them: permits, leases, and later deliveries of the same task.
extension OutcomeWriter {
    /// How long the broker is tried to be told of a task that is given back, when the worker leaves.
    private static let publishingPatience = Duration.seconds(5)

    /// Ends deliveries and gives their permits back; tasks that are given back go through ``giveBack(_:)`` instead.
    func settle(_ items: [InboxItem], as settlement: Settlement) async throws {
        if items.isEmpty { return }
        try await beforeSettling?(items.count)
        try await end(PendingSettlement(state.close(items)), as: settlement)
    }

    /// Acknowledges deliveries of tasks that run on, because the results log has those tasks now.
    func acknowledgeLeased(_ deliveries: [Delivery.Token]) async throws {
        try await beforeSettling?(deliveries.count)
        let broker = client.broker
        try await withoutCancellation { try await broker.settle(deliveries, as: .acknowledged) }
    }

    /// Ends deliveries of tasks that have been put into a queue again already.
    func settleMoved(_ items: [InboxItem]) async throws {
        let holdings = state.close(items)
        await returnLeases(of: holdings)
        try await end(PendingSettlement(holdings), as: .acknowledged)
    }

    /// Gives back tasks that are not to be run here and now, without bringing them nearer to the dead letters.
    ///
    /// Each return counts towards the delivery limit, and so does each lost worker. So a task that came back before is published
    /// again instead and begins anew; and so is a suspect, which has few lives left, and a leased task, which is in no queue.
    ///
    /// - Parameters:
    ///   - items: Deliveries of tasks, which nobody runs.
    ///   - publishing: Whether all are published again, so that they wait at the end of their queue.
    func giveBack(_ items: [InboxItem], publishing: Bool = false) async throws {
        if items.isEmpty { return }
        try await beforeSettling?(items.count)
        let holdings = state.close(items)
        let mustBePublished = { (holding: HeldTask) in
            publishing || holding.isLeased || holding.item.batch == nil || holding.item.delivery.earlierDeliveries > 0
        }
        var (published, returned): ([HeldTask], [HeldTask]) = ([], holdings.filter { !mustBePublished($0) })
        for (queue, group) in Dictionary(grouping: holdings.filter(mustBePublished), by: home) {
            if try await publish(group.map(\.item.delivery.message), to: queue) {
                published += group
            } else {
                returned += group
            }
        }
        await returnLeases(of: published + returned.filter { !$0.isLeased })
        try await end(PendingSettlement(published), as: .acknowledged)
        try await end(PendingSettlement(returned), as: .returned)
    }

    /// The queue in which a task that is given back waits; for a suspect whose batch is only halted, that of its batch.
    private func home(of holding: HeldTask) -> String {
        let delivery = holding.item.delivery
        guard holding.item.batch == nil, let task = try? BatchTask(delivery.message), let record = journal[task.batch],
            record.ending == nil, record.cancelled == nil, !record.isRunnable,
            record.generations.contains(task.generation)
        else { return delivery.queue }
        return client.names.tasks(flow: record.flow, batch: task.batch, generation: task.generation)
    }

    /// Publishes tasks again; false where the broker takes nothing for now, so that they have to be returned after all.
    private func publish(_ messages: [Message], to queue: String) async throws -> Bool {
        let broker = client.broker
        do {
            return try await within(Self.publishingPatience) {
                try await retrying { try await broker.publish(messages, to: queue) }
                return true
            } ?? false
        } catch let error as BrokerError {
            // A queue that is gone takes nothing back, and nobody waits for its tasks.
            guard error.code == .notFound else { throw error }
            return true
        }
    }

    /// Tells the log that tasks are in a queue again, so that nobody puts them there a second time.
    private func returnLeases(of holdings: [HeldTask]) async {
        for holding in holdings {
            guard let lease = holding.lease, let batch = holding.task?.batch else { continue }
            let (client, message) = (client, ResultMessage.returned(batch: batch, lease: lease.id))
            let log = client.names.results(batch: batch)
            do {
                _ = try await within(Self.publishingPatience) {
                    try await retrying { try await client.broker.append(message, to: log) }
                }
            } catch {
                client.logger.debug("the end of lease \(lease.id) is not told, and its task may run twice: \(error)")
            }
        }
    }

    /// Tells the broker how deliveries end, and lets go of them.
    func end(_ settling: PendingSettlement, as settlement: Settlement) async throws {
        if settling.isEmpty { return }
        let broker = client.broker
        let (deliveries, permits) = (settling.owed, settling.permits)
        let valid = permits.filter { isValid($0.permit, of: $0.batch) }.map(\.permit.token)
        let void = permits.filter { !isValid($0.permit, of: $0.batch) }.map(\.permit.token)
        do {
            try await finishing(within: Self.publishingPatience) {
                for (deliveries, settlement) in [(deliveries, settlement), (valid, .returned), (void, .acknowledged)]
                where !deliveries.isEmpty {
                    // A broker that takes nothing for now has not taken the deliveries back either: it is told later.
                    try await retrying(while: [.blocked, .timedOut]) {
                        try await broker.settle(deliveries, as: settlement)
                    }
                }
            }
        } catch let error as BrokerError {
            guard error.isRetryable else { throw error }
            // The connection is lost, and with it the deliveries: the broker gives them to somebody again.
            client.logger.warning("\(deliveries.count) tasks come again, their end could not be told: \(error)")
        }
        state.release(settling.released)
    }

    /// Whether a permit still allows anything; one of a change that the journal here does not know yet may.
    private func isValid(_ permit: Delivery, of batch: Name?) -> Bool {
        guard let permit = Permit(permit.message), let record = batch.flatMap({ journal[$0] }) else { return false }
        return permit.change > record.permits.change || record.permits.isValid(permit)
    }
}
