import SheafBroker
import SheafCore

/// A batch whose creating lock this process holds: no creation, retry, change of limit or deletion runs elsewhere.
struct HeldBatch {
    let id: Name
    let journal: Journal
    let lock: any BrokerLock

    /// The batch as the journal describes it now; throws `notFound` if it was deleted.
    func info() throws -> BatchInfo { try journal.find(id.text) }
}

extension SheafClient {
    /// Runs the body while this process holds a batch; the journal is read after the lock was taken.
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
                    ? "batch '\(id)' is still being created; try again when that is done"
                    : "batch '\(id)' is being changed by another process; try again when that is done"
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

/// The permits of a batch that limits how many of its tasks run at once; a process that mints some holds the batch.
struct Permits {
    let client: SheafClient
    let queue: String

    /// The permits that count from a generation on.
    init(of batch: Name, from generation: Int, client: SheafClient) {
        self.client = client
        queue = client.names.permits(batch: batch, generation: generation)
    }

    /// Declares the queue of permits.
    func declare() async throws {
        try await retrying(for: .seconds(30)) {
            try await client.broker.declareQueue(QueueDeclaration(name: queue, kind: .tokens()))
        }
    }

    /// Publishes the permits that the latest change of the limit adds.
    func mint(_ rules: PermitRules) async throws { try await mint(rules.minted, rules) }

    /// Fills an empty queue with all permits that the limit allows; it must not be in use yet.
    func mintAll(_ rules: PermitRules) async throws {
        guard let limit = rules.limit else { return }
        try await declare()
        try await purge()
        try await mint(0..<limit, rules)
    }

    /// Drops the permits that wait.
    func purge() async throws {
        do {
            _ = try await retrying(for: .seconds(30)) { try await client.broker.purgeQueue(queue) }
        } catch let error as BrokerError where error.code == .notFound {
            // A queue that does not exist has no permits.
        }
    }

    private func mint(_ numbers: Range<Int>, _ rules: PermitRules) async throws {
        // Not retried: repeating a publish that was confirmed in part would allow more tasks than the limit.
        let permits = numbers.map { Permit(change: rules.change, number: $0).message }
        if !permits.isEmpty { try await client.broker.publish(permits, to: queue) }
    }
}
