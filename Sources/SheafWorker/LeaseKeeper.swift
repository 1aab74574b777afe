import Logging
import SheafBatches
import SheafBroker
import SheafCore

/// Sees to it that the broker takes nothing back from a worker that is only slow.
///
/// A broker waits for an acknowledgement for a limited time. Before a third of that has passed, a running task is put into the
/// results log of its batch, and its delivery acknowledged: from then on the task is on a *lease*, which lasts as long as the
/// worker holds a lock of its own. Where the lock is free though the task has no outcome, the aggregator puts it back.
actor LeaseKeeper {
    private let client: SheafClient
    private let journal: Journal
    private let state: WorkerState
    private let writer: OutcomeWriter
    private let fetcher: TaskFetcher
    /// A third of the broker's time-out.
    private let patience: Duration
    /// Names the worker and its lock.
    private let id = LeaseKeeper.randomID()
    private var lock: (any BrokerLock)?
    private var complainedAt: ContinuousClock.Instant?

    private static let longestTick = Duration.seconds(1)

    init(
        client: SheafClient,
        journal: Journal,
        state: WorkerState,
        writer: OutcomeWriter,
        fetcher: TaskFetcher,
        timeout: Duration
    ) {
        self.client = client
        self.journal = journal
        self.state = state
        self.writer = writer
        self.fetcher = fetcher
        self.patience = timeout / 3
    }

    /// Looks after what is held until cancelled.
    func run() async throws {
        while true {
            try await Task.sleep(for: min(patience / 4, Self.longestTick))
            do {
                try await look(before: .now - patience)
            } catch let error as BrokerError {
                guard error.isRetryable else { throw error }
                complain(of: error)
            }
        }
    }

    /// Lets go of the lock; for the end of the worker, when no task is on a lease any more.
    func release() async {
        await lock?.release()
        lock = nil
    }

    private func look(before limit: ContinuousClock.Instant) async throws {
        // A lock that went with its connection is taken again at once, before somebody believes this worker dead.
        if state.leasedCount > 0 { _ = try await holdsLock() }
        try await fetcher.giveBackStale(before: limit)
        for (task, item, lease) in state.due(before: limit) { try await self.lease(task, item, lease) }
        for item in state.permitsDue(before: limit) { try await renewPermit(of: item) }
    }

    private func lease(_ task: BatchTask, _ item: InboxItem, _ earlier: TaskLease?) async throws {
        guard try await holdsLock() else { return }
        let lease =
            earlier ?? TaskLease(id: Self.randomID(), index: task.index, generation: task.generation, worker: id)
        guard state.offer(lease, to: item) else { return }
        let log = client.names.results(batch: task.batch)
        do {
            try await append(lease.message(of: task), to: log)
            if let owed = state.completeLease(of: item) {
                client.logger.info("task \(task.id) takes long: from now on it runs on a lease")
                try await writer.acknowledgeLeased(owed)
            } else {
                // It has ended meanwhile. Where that was an outcome, this changes nothing.
                try await append(ResultMessage.returned(batch: task.batch, lease: lease.id), to: log)
            }
        } catch let error as BrokerError {
            // Without its log the batch is over, or lost; others say so.
            guard error.code == .notFound else { throw error }
            client.logger.debug("task \(task.id) gets no lease: \(error)")
        }
    }

    private func append(_ message: Message, to log: String) async throws {
        let broker = client.broker
        try await finishing(within: OutcomeWriter.lastPatience) { try await broker.append(message, to: log) }
    }

    /// Takes the lock where this worker does not have it; false where it is still held by the worker's own lost connection.
    private func holdsLock() async throws -> Bool {
        if let lock, await lock.isHeld { return true }
        lock = try await client.broker.acquireLock(client.names.workerLock(id))
        return lock != nil
    }

    /// Gives a permit back and takes one again; where somebody else was faster, the task gets the next there is.
    private func renewPermit(of item: InboxItem) async throws {
        guard let batch = item.batch, let record = journal[batch], record.maxRunning != nil else {
            if let old = state.takePermit(of: item) { try await client.broker.settle(old, as: .acknowledged) }
            state.excuse(item)
            return
        }
        let old = state.takePermit(of: item)
        let isVoid = old.flatMap { Permit($0.message) }.map { !record.permits.isValid($0) } ?? true
        let queue = client.names.permits(batch: batch, generation: record.oldestQueue)
        guard let permit = try await fetcher.exchange(old, isVoid: isVoid, of: batch, in: queue) else { return }
        if !state.givePermit(permit, to: item) { try await client.broker.settle(permit, as: .returned) }
    }

    private func complain(of error: BrokerError) {
        if let complainedAt, .now - complainedAt < .seconds(10) { return }
        complainedAt = .now
        client.logger.warning("tasks that take long can not be put into the results log for now: \(error)")
    }

    private static func randomID() -> String {
        (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined()
    }
}
