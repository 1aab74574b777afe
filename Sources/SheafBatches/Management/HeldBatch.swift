import SheafBroker
import SheafCore

/// A batch that nobody else publishes to meanwhile: no creator, no retry, no change of its limit, no deletion.
struct HeldBatch {
    let id: Name
    let journal: Journal
    let lock: any BrokerLock

    /// What the journal says now; throws `notFound` where the batch was deleted.
    func record() throws -> BatchInfo { try journal.find(id.text) }
}

extension SheafClient {
    /// Runs the body while this process holds the batch, with a journal that was read after that was sure.
    func holding<Result>(
        _ id: Name,
        _ journal: Journal,
        _ body: (HeldBatch) async throws -> Result
    ) async throws -> Result {
        guard let lock = try await broker.acquireLock(names.creatingLock(batch: id)) else {
            let isNew = journal[id].map { $0.sealedTotal == nil } ?? false
            throw SheafError(
                .notNow,
                isNew
                    ? "batch '\(id)' is being created at this moment; try again when that is done"
                    : "somebody else changes batch '\(id)' at this moment; try again when that is done"
            )
        }
        do {
            try await journal.catchUp()
            let result = try await body(HeldBatch(id: id, journal: journal, lock: lock))
            await lock.release()
            return result
        } catch {
            await lock.release()
            throw error
        }
    }
}
