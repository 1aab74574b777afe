import SheafBroker
import SheafCore

/// Cancels a batch, durably, and ends it at once where nobody else does.
struct Canceller {
    let client: SheafClient

    func cancel(_ reference: String, now: Bool) async throws -> BatchSummary {
        let journal = try await Journal.read(from: client)
        var record = try journal.find(reference)
        if record.cancelled == nil || (now && record.cancelled?.now == false) || record.ending != nil {
            try refuseEnded(record)
            try await journal.append(.cancelled(now: now), to: record.id, flow: record.flow)
            try await journal.catchUp()
            // The end may have come first; then the journal has it before this, for every reader.
            if let after = journal[record.id], after.cancelled == nil { try refuseEnded(after) }
            // A retry may have come first, too, and then there is another queue.
            record = journal[record.id] ?? record
        }
        for generation in record.generations { try await purge(record, generation) }
        return try await client.batch(record.id.text)
    }

    private func purge(_ record: BatchInfo, _ generation: Int) async throws {
        do {
            let queue = client.names.tasks(flow: record.flow, batch: record.id, generation: generation)
            try await client.broker.purgeQueue(queue)
        } catch let error as BrokerError where error.code == .notFound {
            // Nothing waits where there is no queue.
        }
    }

    private func refuseEnded(_ record: BatchInfo) throws {
        guard record.ending != nil else { return }
        let status = record.status(hasStarted: true).rawValue
        throw SheafError(
            .alreadyFinished,
            "batch '\(record.id)' has ended already (\(status)); there is nothing to cancel"
        )
    }
}
