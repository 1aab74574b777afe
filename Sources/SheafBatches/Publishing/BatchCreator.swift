import SheafBroker
import SheafCore
import SheafSources

/// Publishes one batch, from its first record to its seal, or from where an earlier creator was interrupted.
struct BatchCreator: Sendable {
    let client: SheafClient
    let publishTimeout: Duration
    let events: CreationEvents
    let stalls: StallWatch

    init(client: SheafClient, publishTimeout: Duration, events: CreationEvents) {
        self.client = client
        self.publishTimeout = publishTimeout
        self.events = events
        self.stalls = StallWatch(broker: client.broker, limit: publishTimeout, onStall: events.onStall)
    }

    func create<Items: AsyncSequence & Sendable>(
        _ plan: BatchPlan,
        _ items: Items
    ) async throws -> CreatedBatch where Items.Element == [SourceItem] {
        let variants: ParameterVariants
        do throws(ParameterError) {
            variants = try ParameterVariants(defaults: plan.defaults, parameters: plan.options.parameters)
        } catch {
            throw SheafError(.invalid, error.description)
        }
        return try await stalls.watching {
            // The first records are read before anything is made, so that an empty input leaves nothing behind.
            var iterator = items.makeAsyncIterator()
            guard let first = try await iterator.next(isolation: #isolation) else {
                throw SheafError(.invalid, "the input holds no records, so there is nothing to create")
            }
            let journal = try await stalls.during { try await Journal.read(from: client) }
            var generator = SystemRandomNumberGenerator()
            let id = plan.id ?? Name.newBatch(at: .now, using: &generator)
            return try await locked(id, journal) { lock in
                try await BatchOpening(client: client, plan: plan, id: id, journal: journal, lock: lock, stalls: stalls)
                    .run()
                events.onCreated(id)
                let publisher = publisher(id, plan.flow, variants, journal, lock)
                let sum = try await publisher.publish(first, &iterator, startingAt: 0, digest: ItemDigest())
                return CreatedBatch(id: id, flow: plan.flow, total: sum.total, invalid: sum.invalid)
            }
        }
    }

    func resume<Items: AsyncSequence & Sendable>(
        _ id: Name,
        comparing: Bool,
        _ items: @escaping @Sendable (Int) async throws -> Items
    ) async throws -> CreatedBatch where Items.Element == [SourceItem] {
        try await stalls.watching {
            let journal = try await stalls.during { try await Journal.read(from: client) }
            let record = try resumable(id, journal)
            if let total = record.sealedTotal { return CreatedBatch(id: id, flow: record.flow, total: total) }
            return try await locked(id, journal, waiting: .seconds(3)) { lock in
                // Whoever held the lock until now may have gone on meanwhile, or have ended it.
                try await stalls.during { try await journal.catchUp() }
                let record = try resumable(id, journal)
                if let total = record.sealedTotal { return CreatedBatch(id: id, flow: record.flow, total: total) }
                let variants = try record.variants()
                let (position, start) = (record.published / variants.variants.count, record.published)
                events.onCreated(id)
                events.onConfirmed(start)
                var iterator = try await items(comparing ? 0 : position).makeAsyncIterator()
                let publisher = publisher(id, record.flow, variants, journal, lock)
                var (rest, digest): ([SourceItem]?, ItemDigest?) = (nil, start == 0 ? ItemDigest() : nil)
                if comparing, start > 0 {
                    let prefix = StreamPrefix(count: position, digest: record.publishedDigest)
                    (rest, digest) = try await prefix.pass(&iterator)
                }
                let sum = try await publisher.publish(rest, &iterator, startingAt: start, digest: digest)
                return CreatedBatch(
                    id: id,
                    flow: record.flow,
                    total: sum.total,
                    invalid: sum.invalid,
                    resumedAt: start
                )
            }
        }
    }

    /// The record of a batch, where there is nothing against publishing the rest of it.
    private func resumable(_ id: Name, _ journal: Journal) throws -> BatchInfo {
        let record = try journal.find(id.text)
        try record.refuseResuming()
        return record
    }

    private func publisher(
        _ id: Name,
        _ flow: Name,
        _ variants: ParameterVariants,
        _ journal: Journal,
        _ lock: CreatingLock
    ) -> BatchPublisher {
        BatchPublisher(
            client: client,
            flow: flow,
            batch: id,
            variants: variants,
            journal: journal,
            lock: lock,
            stalls: stalls,
            onConfirmed: events.onConfirmed
        )
    }

    /// Runs the body while this process has the right to publish the batch, and follows the journal meanwhile.
    private func locked<Result>(
        _ id: Name,
        _ journal: Journal,
        waiting: Duration = .zero,
        _ body: (CreatingLock) async throws -> Result
    ) async throws -> Result {
        let patience = min(.seconds(30), publishTimeout * 0.8)
        let lock = try await stalls.during {
            try await CreatingLock.take(id, client: client, journal: journal, waiting: waiting, patience: patience)
        }
        let following = Task { try await journal.run() }
        defer { following.cancel() }
        do {
            let result = try await body(lock)
            await lock.release()
            return result
        } catch {
            await lock.release()
            throw error
        }
    }
}
