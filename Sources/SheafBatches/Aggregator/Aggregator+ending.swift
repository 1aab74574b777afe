import SheafBroker
import SheafCore

extension Aggregator {
    /// Looks whether the batch's policy is exceeded, and whether it has ended; writes what is due.
    func decide(_ batch: Name) async throws {
        guard let record = journal[batch], record.ending == nil else { return }
        folds[batch]?.apply(record)
        // While a retry's tasks are not open yet, what is settled is that of the generation before.
        guard let fold = folds[batch], ending[batch] != record.generation, fold.state.hasReopened(record.reopenings)
        else {
            return
        }
        let settled = fold.state.settled
        let policy = record.options.errorPolicy
        let failures = settled.policyFailures - record.tolerated
        if record.isRunnable, policy.isExceeded(failures: failures, total: record.sealedTotal) {
            let since = record.tolerated > 0 ? " since it went on" : ""
            let reason = "\(failures) tasks have failed\(since), more than '\(policy)' allows"
            try await journal.append(.stopped(reason: reason), to: batch, flow: record.flow)
        }
        if record.cancelled != nil {
            try await endCancelled(record)
        } else if let total = record.sealedTotal, settled.count == total {
            try await end(record, total: total)
        }
    }

    /// A cancelled batch has ended when its creator is gone, its queue empty and nobody is running its tasks.
    ///
    /// Workers say what they run a moment after they began it. Where there may be some, they are given that moment.
    private func endCancelled(_ record: BatchInfo) async throws {
        let seen = cancelSeen[record.id] ?? .now
        cancelSeen[record.id] = seen
        guard signals.running(record.id) == 0, !isLeading || .now - seen >= timing.signalGrace,
            try await !client.broker.isLocked(client.names.creatingLock(batch: record.id)), ending[record.id] == nil
        else { return }
        ending[record.id] = record.generation
        do {
            try await dropQueues(of: record)
            try await catchUp(record.id)
        } catch {
            ending[record.id] = nil
            // Where somebody has deleted the results log, what was counted before is all there is to say.
            guard let error = error as? BrokerError, error.code == .notFound else { throw error }
        }
        ending[record.id] = nil
        let settled = folds[record.id]?.state.settled.count ?? 0
        try await end(record, total: max(record.sealedTotal ?? record.published, settled))
    }

    private func end(_ record: BatchInfo, total: Int) async throws {
        guard let fold = folds[record.id], ending.updateValue(record.generation, forKey: record.id) != record.generation
        else {
            return
        }
        let settled = fold.state.settled
        let isCancelled = record.cancelled != nil
        let counts = BatchCounts(total: total, settled: settled, running: 0, isCancelled: isCancelled)
        do {
            try await journal.append(
                .finished(
                    generation: record.generation,
                    endOffset: fold.nextOffset,
                    counts: counts,
                    startedAt: fold.state.startedAt,
                    usage: fold.state.usage
                ),
                to: record.id,
                flow: record.flow
            )
        } catch {
            ending[record.id] = nil
            throw error
        }
    }

    private func dropQueues(of record: BatchInfo) async throws {
        for generation in record.generations {
            do {
                try await client.broker.purgeQueue(
                    client.names.tasks(flow: record.flow, batch: record.id, generation: generation)
                )
            } catch let error as BrokerError where error.code == .notFound {
                continue
            }
        }
    }

    /// Deletes the queues of a batch that has ended, once nobody publishes: a queue must not go while it is published to.
    func cleanUp(_ batch: Name) async throws {
        guard let record = journal[batch], record.ending != nil else { return }
        while try await client.broker.isLocked(client.names.creatingLock(batch: batch)) {
            try await Task.sleep(for: timing.interval)
        }
        // A retry that was first has queues of its own, so these are nobody's whatever has happened meanwhile.
        for generation in record.generations {
            try await client.broker.deleteQueue(
                client.names.tasks(flow: record.flow, batch: batch, generation: generation)
            )
        }
        try await client.broker.deleteQueue(client.names.permits(batch: batch, generation: record.oldestQueue))
    }

    /// Deletes what the aggregator before this one may have left when it died.
    func cleanUpRecent() async throws {
        let recent = Timestamp.now + .seconds(-600)
        for record in journal.state.batches where record.ending.map({ $0.at > recent }) == true {
            try await cleanUp(record.id)
        }
    }
}
