import SheafBroker
import SheafCore
import SheafSources

/// Publishes one batch from its first record to its seal, or from where an earlier creator was interrupted.
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
        if let problem = Tags.problem(of: plan.options.tags) { throw SheafError(.invalid, problem) }
        if let problem = plan.options.pilot?.problem ?? plan.options.deduplication?.problem {
            throw SheafError(.invalid, problem)
        }
        if let problem = BatchOptions.problem(ofMaxRunning: plan.options.maxRunning) {
            throw SheafError(.invalid, problem)
        }
        return try await stalls.watching {
            // The first records are read before anything is declared, so that an empty input leaves no batch.
            var iterator = items.makeAsyncIterator()
            guard let first = try await iterator.next(isolation: #isolation) else {
                throw SheafError(.invalid, "the input has no records, so there is no batch to create")
            }
            let journal = try await stalls.during { try await Journal.read(from: client) }
            var generator = SystemRandomNumberGenerator()
            let id = plan.id ?? Name.newBatch(at: .now, using: &generator)
            return try await locked(id, journal) { lock in
                try await BatchOpening(client: client, plan: plan, id: id, journal: journal, lock: lock, stalls: stalls)
                    .run()
                events.onCreated(id)
                var publisher = publisher(id, plan.flow, plan.options, variants, journal, lock)
                publisher.trace = plan.trace
                publisher.finder = plan.options.finder(plan.input)
                let sum = try await publisher.publish(first, &iterator, startingAt: 0, digest: ItemDigest())
                return CreatedBatch(
                    id: id,
                    flow: plan.flow,
                    total: sum.total,
                    invalid: sum.invalid,
                    twins: sum.twins
                )
            }
        }
    }

    func resume<Items: AsyncSequence & Sendable>(
        _ id: Name,
        comparing: Bool,
        trace: TraceContext?,
        _ items: @escaping @Sendable (Int) async throws -> Items
    ) async throws -> CreatedBatch where Items.Element == [SourceItem] {
        try await stalls.watching {
            let journal = try await stalls.during { try await Journal.read(from: client) }
            let batch = try resumable(id, journal)
            if let created = batch.created { return created }
            return try await locked(id, journal, waiting: .seconds(3)) { lock in
                // The previous holder of the lock may have published more in the meantime, or have finished.
                try await stalls.during { try await journal.catchUp() }
                let batch = try resumable(id, journal)
                if let created = batch.created { return created }
                let variants = try batch.variants()
                let (position, start) = (batch.published / variants.variants.count, batch.published)
                events.onCreated(id)
                events.onConfirmed(start)
                var publisher = publisher(id, batch.flow, batch.options, variants, journal, lock)
                publisher.trace = trace
                publisher.finder = batch.options.finder(batch.batchInput)
                // Records that follow may be identical to those that were published before.
                let readsPrefix = comparing || publisher.finder != nil
                var iterator = try await items(readsPrefix ? 0 : position).makeAsyncIterator()
                var (rest, digest): ([SourceItem]?, ItemDigest?) = (nil, start == 0 ? ItemDigest() : nil)
                if readsPrefix, start > 0 {
                    let prefix = StreamPrefix(count: position, digest: batch.publishedDigest)
                    (rest, digest) = try await prefix.pass(&iterator, &publisher.finder)
                }
                let sum = try await publisher.publish(rest, &iterator, startingAt: start, digest: digest)
                return CreatedBatch(
                    id: id,
                    flow: batch.flow,
                    total: sum.total,
                    invalid: sum.invalid,
                    twins: sum.twins,
                    resumedAt: start
                )
            }
        }
    }

    /// Finds a batch; throws if the rest of it must not be published.
    private func resumable(_ id: Name, _ journal: Journal) throws -> BatchInfo {
        let batch = try journal.find(id.text)
        try batch.refuseResuming()
        return batch
    }

    private func publisher(
        _ id: Name,
        _ flow: Name,
        _ options: BatchOptions,
        _ variants: ParameterVariants,
        _ journal: Journal,
        _ lock: CreatingLock
    ) -> BatchPublisher {
        BatchPublisher(
            client: client,
            flow: flow,
            batch: id,
            variants: variants,
            pilot: options.pilot,
            journal: journal,
            lock: lock,
            stalls: stalls,
            onConfirmed: events.onConfirmed
        )
    }

    /// Runs the body while this process holds the creating lock of the batch and follows the journal.
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

extension BatchInfo {
    /// The batch as its creation returns it, if all its tasks are published.
    fileprivate var created: CreatedBatch? {
        sealedTotal.map { CreatedBatch(id: id, flow: flow, total: $0, twins: twins) }
    }
}

extension BatchOptions {
    /// Returns what finds identical records; nil if each record of the batch runs.
    fileprivate func finder(_ input: BatchInput?) -> TwinFinder? {
        deduplication.map { TwinFinder($0, of: input?.source) }
    }
}

/// The first records of an input, which were published before and are read again only to compare them.
struct StreamPrefix {
    let count: Int
    /// Their digest in the journal.
    let digest: String?

    /// Reads them, and notes them for the finder; returns the items that follow in the same chunk, and the digest to
    /// continue with.
    ///
    /// Throws ``SourceError`` if the stream is shorter or has other records.
    func pass<Iterator: AsyncIteratorProtocol>(
        _ iterator: inout Iterator,
        _ finder: inout TwinFinder?
    ) async throws -> (rest: [SourceItem], digest: ItemDigest) where Iterator.Element == [SourceItem] {
        var seen = ItemDigest()
        var passed = 0
        while passed < count {
            guard let chunk = try await iterator.next(isolation: #isolation) else {
                throw SourceError(
                    .changed,
                    "the input ends after \(passed) records; \(count) were published when it was read first"
                )
            }
            let mine = chunk.prefix(count - passed)
            for item in mine { seen.add(item) }
            TaskBuilder.note(mine, in: &finder)
            passed += mine.count
            if passed == count {
                if let digest, seen.text != digest {
                    throw SourceError(.changed, "the first \(count) records are not those that were published")
                }
                return (Array(chunk[mine.endIndex...]), seen)
            }
        }
        return ([], seen)
    }
}
