import Logging
import SheafBroker
import SheafCore

/// Finds tasks that no worker will end: leased to dead workers, dead-lettered, or lost by the broker.
///
/// Runs beside an aggregator that leads, and ends with it.
actor LostTasks {
    private let client: SheafClient
    private let journal: Journal
    private let timing: AggregatorTiming
    private let aggregator: Aggregator
    /// Since when the locks of workers with leases have been free.
    private var silentWorkers: [String: ContinuousClock.Instant] = [:]
    /// Since when bulks that wait for a worker have neither been in their queue nor with a worker.
    private var strayBulks: [String: ContinuousClock.Instant] = [:]

    init(client: SheafClient, journal: Journal, timing: AggregatorTiming, aggregator: Aggregator) {
        self.client = client
        self.journal = journal
        self.timing = timing
        self.aggregator = aggregator
    }

    // MARK: Leases

    /// Returns leased tasks of dead workers to their queues, and hands over their bulks.
    func watchLeases() async throws {
        while true {
            try await Task.sleep(for: timing.interval)
            let (workers, bulks) = await (aggregator.leaseholders, aggregator.bulks)
            silentWorkers = silentWorkers.filter { workers.contains($0.key) }
            for worker in workers {
                if try await client.broker.isLocked(client.names.workerLock(worker)) {
                    silentWorkers[worker] = nil
                } else if silentWorkers[worker] == nil {
                    silentWorkers[worker] = .now
                }
            }
            for worker in workers where isGone(worker) {
                for (batch, lease) in await aggregator.leases(of: worker) {
                    try await unlessLost { try await putBack(lease, of: batch) }
                }
            }
            strayBulks = strayBulks.filter { id, _ in bulks.contains { $0.id == id && $0.bulk.worker == nil } }
            for (batch, id, bulk) in bulks {
                try await unlessLost {
                    let isDue =
                        if let worker = bulk.worker { isGone(worker) } else { try await isStray(id, of: batch) }
                    if isDue { try await handOver(id, bulk, of: batch) }
                }
            }
        }
    }

    private func isGone(_ worker: String) -> Bool {
        silentWorkers[worker].map { .now - $0 >= timing.leaseGrace } ?? false
    }

    /// Whether the message that stands for a bulk was lost, or its receiver took it for a copy of a single task.
    private func isStray(_ id: String, of batch: Name) async throws -> Bool {
        guard let info = journal[batch] else { return false }
        var isAccountedFor = await aggregator.isHeld(batch)
        let queues = info.generations.map { client.names.tasks(flow: info.flow, batch: batch, generation: $0) }
        for queue in [client.names.suspects(flow: info.flow)] + queues where !isAccountedFor {
            isAccountedFor = try await client.broker.queueStatus(queue).map { $0.ready > 0 } ?? false
        }
        if isAccountedFor {
            strayBulks[id] = nil
        } else if let since = strayBulks[id] {
            return .now - since >= timing.missingGrace
        } else {
            strayBulks[id] = .now
        }
        return false
    }

    /// Lets another worker have a bulk: one task that stands for all of them goes to the suspects of its flow, where it
    /// waits behind no other task.
    ///
    /// That counts as an attempt of none: the job runs elsewhere, and its worker only waited for it.
    private func handOver(_ id: String, _ bulk: Bulks.Bulk, of batch: Name) async throws {
        let log = client.names.results(batch: batch)
        guard let info = journal[batch], info.ending == nil, info.cancelled == nil,
            let state = await aggregator.fold(of: batch)?.state, state.bulks[id] == bulk,
            let lease = bulk.tasks.min().flatMap({ state.leases[$0] }),
            let task = try await entry(at: lease.offset, of: log).flatMap({ TaskLease.task(of: $0) })
        else { return }
        let next = BulkHandOver(bulk: id, turn: bulk.turn + 1)
        try await client.broker.publish(next.message(of: task), to: client.names.suspects(flow: info.flow))
        client.logger.warning("batch \(batch): a bulk of \(bulk.tasks.count) tasks has no worker and is handed over")
        strayBulks[id] = nil
        try await client.broker.append(BulkEvent(bulk: id, turn: next.turn, .offered).message(of: batch), to: log)
    }

    /// Returns a leased task to its queue, or fails it if it was delivered too often.
    private func putBack(_ lease: TaskLease, of batch: Name) async throws {
        let log = client.names.results(batch: batch)
        guard let info = journal[batch], info.ending == nil,
            let state = await aggregator.fold(of: batch)?.state, state.leases[lease.index]?.id == lease.id,
            lease.bulk.flatMap({ state.bulks[$0]?.memo }) == nil,
            let message = try await entry(at: lease.offset, of: log),
            let lease = TaskLease(message), lease.id == state.leases[lease.index]?.id,
            let task = TaskLease.task(of: message)
        else { return }
        client.logger.warning("task \(task.id): its worker is gone, so it is returned to its queue")
        let loss = lease.loss(hasBegun: lease.bulk.flatMap { state.bulks[$0]?.hasBegun } ?? false)
        if loss == .attempt, task.attempt >= QueueDeclaration.deliveriesBeforeDeath {
            try await giveUp(task, attempts: task.attempt)
        } else if info.cancelled == nil {
            let queue = client.names.tasks(flow: info.flow, batch: batch, generation: task.generation)
            do {
                try await client.broker.publish(lease.returning(task, after: loss), to: queue)
            } catch let error as BrokerError where error.code == .notFound {
                return  // the workers report a lost queue; the task stays leased
            }
        }
        try await client.broker.append(ResultMessage.returned(batch: batch, lease: lease.id), to: log)
    }

    private func entry(at offset: Int64, of log: String) async throws -> Message? {
        let reader = try await client.broker.read(log, from: .offset(offset))
        var found: LogEntry?
        while found == nil, let chunk = try await reader.next() { found = chunk.entries.first }
        await reader.cancel()
        return found?.offset == offset ? found?.message : nil
    }

    // MARK: Dead letters

    /// Turns dead-lettered tasks into failed outcomes; messages that cannot be read stay dead letters.
    ///
    /// If the broker's log has no times, it also appends when dead letters were first seen, for the list of them.
    func followDeadLetters() async throws {
        let log = client.names.dead
        let end = try await client.broker.endOffset(of: log) ?? 0
        var (newest, seen): (Int64, Int64) = (-1, -1)
        try await client.broker.follow(log, from: .first) { chunk in
            for entry in chunk.entries {
                try await self.unlessLost { try await self.fail(entry.message) }
                if let sighting = DeadLetterSighting(entry.message) {
                    seen = max(seen, sighting.last)
                } else if entry.time == nil, Dismissal(entry.message) == nil {
                    newest = max(newest, entry.offset)
                }
            }
            // Another aggregator may have seen the entries that were there before; its sighting comes later in the log.
            guard newest > seen, chunk.nextOffset >= end else { return true }
            try await self.client.broker.append(DeadLetterSighting(last: newest, at: .now).message, to: log)
            seen = newest
            return true
        }
    }

    /// Leaves out what belongs to a batch whose results log is gone: the aggregator reports such a batch as lost.
    private func unlessLost(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as BrokerError where error.code == .notFound || error.code == .queueGone {
            client.logger.debug("a lost task is left out: \(error)")
        }
    }

    private func fail(_ message: Message) async throws {
        // A task that stands for a bulk is leased; the bulk is offered again.
        guard message.string(DeathHeaders.reason) == "delivery_limit", BulkHandOver(message) == nil,
            let task = try? BatchTask(message), let batch = journal[task.batch], batch.ending == nil,
            batch.generations.contains(task.generation)
        else { return }
        if let state = await aggregator.fold(of: task.batch)?.state,
            state.isSettled(task.index) || state.generation(of: task.index) > task.generation
        {
            return
        }
        try await giveUp(task, attempts: task.attempt - 1 + QueueDeclaration.deliveriesBeforeDeath)
    }

    /// Writes a failed outcome for a task whose workers were all lost.
    private func giveUp(_ task: BatchTask, attempts: Int) async throws {
        let now = Timestamp.now
        let outcome = Outcome(
            index: task.index,
            generation: task.generation,
            status: .failed,
            recordID: task.record.id,
            error: Outcome.Failure(
                type: Outcome.Failure.workerLost,
                message: "every worker that took this task was lost before it reported an outcome"
            ),
            attempts: attempts,
            startedAt: now,
            finishedAt: now,
            worker: "",
            record: task.record,
            parameters: task.parameters,
            errors: task.errors
        )
        var line: [UInt8] = []
        outcome.writeLine(to: &line)
        try await client.broker.append(
            ResultMessage.outcomes(batch: task.batch, lines: line),
            to: client.names.results(batch: task.batch)
        )
    }

    // MARK: Missing tasks

    /// Reports tasks of quiet batches that are neither queued, held, leased nor delayed.
    func watchForMissing() async throws {
        while true {
            try await Task.sleep(for: timing.missingGrace / 2)
            for batch in journal.state.batches {
                let count = try await missingTasks(of: batch)
                guard await aggregator.note(missing: count, of: batch.id), count > 0 else { continue }
                client.logger.error(
                    "batch \(batch.id): the broker has lost \(count) of its tasks; its missing tasks can be retried"
                )
            }
        }
    }

    private func missingTasks(of batch: BatchInfo) async throws -> Int {
        guard let before = await quietFold(of: batch) else { return 0 }
        for queue in batch.openQueues {
            let queue = client.names.tasks(flow: batch.flow, batch: batch.id, queue: queue)
            if let status = try await client.broker.queueStatus(queue), status.ready > 0 { return 0 }
        }
        if let suspects = try await client.broker.queueStatus(client.names.suspects(flow: batch.flow)),
            suspects.ready > 0
        {
            return 0
        }
        guard let after = await quietFold(of: batch), after.nextOffset == before.nextOffset else { return 0 }
        return Self.unsettled(of: batch, after.state)
    }

    /// How many of the tasks that should be running have no outcome.
    private static func unsettled(of batch: BatchInfo, _ state: BatchState) -> Int {
        if batch.isPiloting { return state.pilotCount - state.settledOfPilot.count }
        // A twin is published nowhere; it ends once its first has.
        return (batch.sealedTotal ?? 0) - state.settled.count - state.openTwins
    }

    /// The state of a batch that should be running and of which no sign of life was seen; nil for any other batch.
    private func quietFold(of batch: BatchInfo) async -> BatchFold? {
        guard batch.isRunnable, batch.sealedTotal != nil, let fold = await aggregator.fold(of: batch.id),
            Self.unsettled(of: batch, fold.state) > 0, fold.state.hasReopened(batch.reopenings),
            fold.state.leases.isEmpty,
            !fold.isDelayed(), .now - fold.lastChange >= timing.missingGrace, await !aggregator.isHeld(batch.id)
        else { return nil }
        return fold
    }
}
