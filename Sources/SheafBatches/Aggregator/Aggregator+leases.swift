import Logging
import SheafBroker
import SheafCore

extension Aggregator {
    /// Looks after tasks that workers have put into results logs: those of a worker that is gone go back to their queue.
    func watchLeases() async throws {
        while true {
            try await Task.sleep(for: timing.interval)
            let leases = folds.flatMap { batch, fold in
                fold.state.leases.values.filter { $0.generation == fold.state.generation(of: $0.index) }.map {
                    (batch, $0)
                }
            }
            let workers = Set(leases.map(\.1.worker))
            silentWorkers = silentWorkers.filter { workers.contains($0.key) }
            for worker in workers {
                if try await client.broker.isLocked(client.names.workerLock(worker)) {
                    silentWorkers[worker] = nil
                } else if silentWorkers[worker] == nil {
                    silentWorkers[worker] = .now
                }
            }
            for (batch, lease) in leases {
                guard let since = silentWorkers[lease.worker], .now - since >= timing.leaseGrace else { continue }
                try await putBack(lease, of: batch)
            }
        }
    }

    /// Puts a leased task back into its queue, or gives it up where it has taken too many workers down.
    private func putBack(_ lease: TaskLease, of batch: Name) async throws {
        let log = client.names.results(batch: batch)
        guard let record = journal[batch], record.ending == nil, folds[batch]?.state.leases[lease.index] == lease,
            let message = try await entry(at: lease.offset, of: log), TaskLease(message)?.id == lease.id,
            var task = TaskLease.task(of: message)
        else { return }
        client.logger.warning("task \(task.id): its worker is gone, so it goes back to its queue")
        if task.attempt >= QueueDeclaration.deliveriesBeforeDeath {
            try await giveUp(task, attempts: task.attempt)
        } else if record.cancelled == nil {
            task.attempt += 1
            let queue = client.names.tasks(flow: record.flow, batch: batch, generation: task.generation)
            do {
                try await client.broker.publish(task.message, to: queue)
            } catch let error as BrokerError where error.code == .notFound {
                return  // a queue that is lost is seen to elsewhere; the task stays where it is
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
}
