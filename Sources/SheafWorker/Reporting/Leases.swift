import Logging
import SheafBatches
import SheafBroker
import SheafCore

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
        let (delivery, task) = (request.delivery, try BatchTask(request.delivery.message()))
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
