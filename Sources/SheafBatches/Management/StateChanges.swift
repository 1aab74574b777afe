import SheafBroker
import SheafCore

/// Pauses and resumes batches through journal entries, which workers that start later read too.
struct Pauser {
    let client: SheafClient

    func pause(_ reference: String) async throws -> BatchChange {
        let journal = try await Journal.read(from: client)
        let batch = try journal.find(reference)
        try refuseEnded(batch, "cannot pause batch '\(batch.id)'")
        if batch.isPaused { return try await change(batch, hasChanged: false) }
        try await append(.paused, to: batch, journal)
        // If the batch ended first, the journal has the end before this entry, and every reader ignores this one.
        try refuseEnded(try journal.find(batch.id.text), "cannot pause batch '\(batch.id)'")
        return try await change(batch, hasChanged: true)
    }

    func resume(_ reference: String) async throws -> BatchChange {
        let journal = try await Journal.read(from: client)
        let batch = try journal.find(reference)
        try refuseEnded(batch, "cannot resume batch '\(batch.id)'", canRetry: true)
        guard batch.isPaused || batch.stopped != nil else { return try await change(batch, hasChanged: false) }
        var tolerated = batch.tolerated
        if let stop = batch.stopped {
            if LossReason(reason: stop.reason) == .queue {
                throw SheafError(
                    .notNow,
                    "cannot resume batch '\(batch.id)': the broker lost tasks of it (\(stop.reason))",
                    advice: .retryMissing(batch.id)
                )
            }
            tolerated = try await FoldedResults(of: batch, client: client).policyFailures
        }
        try await append(.resumed(tolerated: tolerated), to: batch, journal)
        try refuseEnded(try journal.find(batch.id.text), "cannot resume batch '\(batch.id)'", canRetry: true)
        return try await change(batch, hasChanged: true)
    }

    private func append(_ event: JournalEntry.Event, to batch: BatchInfo, _ journal: Journal) async throws {
        try await retrying(for: .seconds(30)) { try await journal.append(event, to: batch.id, flow: batch.flow) }
        try await journal.catchUp()
    }

    private func change(_ batch: BatchInfo, hasChanged: Bool) async throws -> BatchChange {
        BatchChange(batch: try await client.batch(batch.id.text), hasChanged: hasChanged)
    }

    private func refuseEnded(_ batch: BatchInfo, _ failure: String, canRetry: Bool = false) throws {
        guard batch.ending != nil || batch.cancelled != nil else { return }
        let status = batch.status(hasStarted: true).rawValue
        let advice: Advice? = canRetry && batch.cancelled == nil ? .retryBatch(batch.id) : nil
        throw SheafError(.alreadyFinished, "\(failure): it has already ended (\(status))", advice: advice)
    }
}

/// Cancels a batch durably, and ends it at once if no other process does.
struct Canceller {
    let client: SheafClient

    func cancel(_ reference: String, now: Bool) async throws -> BatchSummary {
        let journal = try await Journal.read(from: client)
        var batch = try journal.find(reference)
        if batch.cancelled == nil || (now && batch.cancelled?.now == false) || batch.ending != nil {
            try refuseEnded(batch)
            try await journal.append(.cancelled(now: now), to: batch.id, flow: batch.flow)
            try await journal.catchUp()
            // If the batch ended first, the journal has the end before this entry, and every reader ignores this one.
            if let after = journal[batch.id], after.cancelled == nil { try refuseEnded(after) }
            // A retry may have come first too, and then there is another queue.
            batch = journal[batch.id] ?? batch
        }
        for queue in batch.queues { try await purge(batch, queue) }
        return try await client.batch(batch.id.text)
    }

    private func purge(_ batch: BatchInfo, _ queue: TaskQueue) async throws {
        do {
            try await client.broker.purgeQueue(client.names.tasks(flow: batch.flow, batch: batch.id, queue: queue))
        } catch let error as BrokerError where error.code == .notFound {
            // A queue that does not exist has no messages.
        }
    }

    private func refuseEnded(_ batch: BatchInfo) throws {
        guard batch.ending != nil else { return }
        let status = batch.status(hasStarted: true).rawValue
        throw SheafError(
            .alreadyFinished,
            "cannot cancel batch '\(batch.id)': it has already ended (\(status))"
        )
    }
}

/// Changes how many tasks of a batch may run at once, over all workers.
struct MaxRunningChanger {
    let client: SheafClient

    /// The journal has the change before its permits exist, so that an interrupted change allows fewer tasks, never
    /// more.
    func change(_ reference: String, to limit: Int?) async throws -> BatchSummary {
        let journal = try await Journal.read(from: client)
        let id = try journal.find(reference).id
        return try await client.holding(id, journal) { held in
            let batch = try held.info()
            guard batch.ending == nil, batch.cancelled == nil else {
                let status = batch.status(hasStarted: true).rawValue
                throw SheafError(
                    .alreadyFinished,
                    "cannot change max_running of batch '\(id)': it has already ended (\(status))"
                )
            }
            let permits = Permits(of: id, from: batch.oldestQueue, client: client)
            if limit != nil { try await permits.declare() }
            try await journal.append(.changed(maxRunning: limit), to: id, flow: batch.flow)
            try await journal.catchUp()
            let after = try held.info()
            guard after.ending == nil, after.maxRunning == limit else {
                throw SheafError(.alreadyFinished, "cannot change max_running of batch '\(id)': it has just ended")
            }
            if limit != nil {
                try await permits.mint(after.permits)
            } else if batch.maxRunning != nil {
                // No permit counts any longer, including those that workers hold.
                try await permits.purge()
            }
            return try await client.batch(id.text)
        }
    }
}
