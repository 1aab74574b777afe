import SheafBatches
import SheafBroker
import SheafCore

/// Takes, checks and renews the permits of batches whose tasks may only run N at a time.
actor PermitPool {
    private let client: SheafClient
    private let journal: Journal
    private let ledger: SharedTaskLedger
    private let timing: WorkerTiming
    private var isTaking = false
    /// Whether a permit is being exchanged, which no other task may take.
    private var isRenewing = false

    init(_ context: WorkerContext) {
        client = context.client
        journal = context.journal
        ledger = context.ledger
        timing = context.timing
    }

    /// The queue of a batch's permits.
    nonisolated func queue(of info: BatchInfo) -> String {
        client.names.permits(batch: info.id, generation: info.oldestQueue)
    }

    /// Whether a permit still allows anything; one of a change that the journal here does not know yet may.
    nonisolated func isValid(_ permit: Delivery, of batch: Name?) -> Bool {
        guard let permit = Permit(permit.message), let info = batch.flatMap({ journal[$0] }) else { return false }
        return permit.change > info.permits.change || info.permits.isValid(permit)
    }

    /// Takes a permit for a task; returns nil if none is available.
    func take(of info: BatchInfo) async throws -> Delivery? {
        if isTaking || isRenewing { return nil }
        isTaking = true
        defer { isTaking = false }
        return try await get(of: info)
    }

    /// Takes a permit that still allows something, and drops those it meets that no longer do.
    private func get(of info: BatchInfo) async throws -> Delivery? {
        while let delivery = try await client.broker.get(queue(of: info)) {
            guard let permit = Permit(delivery.message) else {
                try await client.broker.settle(delivery, as: .acknowledged)
                continue
            }
            if let known = journal[info.id], permit.change > known.permits.change {
                do {
                    try await journal.catchUp()
                } catch {
                    try? await client.broker.settle(delivery, as: .returned)
                    throw error
                }
            }
            guard let known = journal[info.id], permit.change <= known.permits.change else {
                // Minted for a change that the journal does not contain yet.
                try await client.broker.settle(delivery, as: .returned)
                return nil
            }
            if known.permits.isValid(permit) { return delivery }
            try await client.broker.settle(delivery, as: .acknowledged)
        }
        return nil
    }

    /// Renews the permits of running tasks that were taken before a time, so that the broker does not take them back.
    func renew(before limit: ContinuousClock.Instant) async throws {
        for delivery in ledger.withLock({ $0.permitsDue(before: limit) }) { try await renewPermit(of: delivery) }
    }

    /// Returns a permit and takes one again; if another worker is faster, the task gets the next one there is.
    private func renewPermit(of delivery: TaskDelivery) async throws {
        guard let batch = delivery.batch, let info = journal[batch], info.maxRunning != nil else {
            if let old = ledger.withLock({ $0.takePermit(of: delivery) }) {
                try await client.broker.settle(old, as: .acknowledged)
            }
            ledger.withLock { $0.excuse(delivery) }
            return
        }
        isRenewing = true
        defer { isRenewing = false }
        // A task that is being fetched must not get the permit that is returned here.
        while isTaking { try await Task.sleep(for: timing.permitInterval) }
        if let old = ledger.withLock({ $0.takePermit(of: delivery) }) {
            let isVoid = Permit(old.message).map { !info.permits.isValid($0) } ?? true
            try await client.broker.settle(old, as: isVoid ? .acknowledged : .returned)
        }
        let next: Delivery?
        do {
            next = try await get(of: info)
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            // The batch has ended or lost its permits; the task that runs needs none.
            return ledger.withLock { $0.excuse(delivery) }
        }
        guard let permit = next else { return }
        if !ledger.withLock({ $0.givePermit(permit, to: delivery, now: .now) }) {
            try await client.broker.settle(permit, as: .returned)
        }
    }
}
