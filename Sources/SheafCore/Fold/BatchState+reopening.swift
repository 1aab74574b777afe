import BitCollections

extension BatchState {
    /// Notes which tasks a retry wants to open again; they are once the journal has its `retried`, in whatever order.
    public mutating func applyReopened(generation: Int, nonce: String, tasks: IndexRanges) {
        if let winner = committed[generation], winner != nonce { return }
        let limit = sealedTotal ?? Self.maximumTasks
        var fresh = BitSet()
        for range in tasks.ranges where range.lowerBound < limit {
            fresh.insert(all: range.clamped(to: 0..<limit))
        }
        if committed[generation] == nonce {
            let known = reopened[generation]?[nonce] ?? BitSet()
            reopen(fresh.subtracting(known), generation: generation)
        }
        reopened[generation, default: [:]][nonce, default: BitSet()].formUnion(fresh)
    }

    /// Opens what a retry has named, now that the journal says that it counts.
    public mutating func applyCommitted(_ reopening: BatchInfo.Reopening) {
        guard committed[reopening.generation] == nil else { return }
        committed[reopening.generation] = reopening.nonce
        let tasks = reopened[reopening.generation]?[reopening.nonce] ?? BitSet()
        reopened[reopening.generation] = [reopening.nonce: tasks]
        reopen(tasks, generation: reopening.generation)
    }

    /// Whether all tasks of those retries are open again, so that what counts as settled is.
    public func hasReopened(_ reopenings: [BatchInfo.Reopening]) -> Bool {
        reopenings.allSatisfy { reopened[$0.generation]?[$0.nonce]?.count ?? 0 >= $0.count }
    }

    /// Notes that a worker has put a task into the results log.
    public mutating func applyLeased(_ lease: TaskLease) {
        let generation = generation(of: lease.index)
        // One of a generation that this reader has not seen opened yet is kept: the journal may be behind.
        if lease.generation > generation || (lease.generation == generation && !isSettled(lease.index)) {
            leases[lease.index] = lease
        }
    }

    /// Notes that a leased task is in its queue again.
    public mutating func applyReturned(lease id: String) {
        for (index, lease) in leases where lease.id == id { leases[index] = nil }
    }

    /// Applies what the entry of the results log at an offset says.
    public mutating func apply(_ event: ResultEvent, at offset: Int64 = 0) {
        switch event {
        case .started(let moment): applyStarted(at: moment)
        case .outcomes(let outcomes, _): for outcome in outcomes { apply(outcome) }
        case .reopened(let generation, let nonce, let tasks):
            applyReopened(generation: generation, nonce: nonce, tasks: tasks)
        case .leased(var lease):
            lease.offset = offset
            applyLeased(lease)
        case .returned(let id): applyReturned(lease: id)
        case .delayed, .checkpoint, .unknown: break
        }
    }

    /// Applies what the journal says of the batch's size and generations.
    public mutating func apply(_ record: BatchInfo) {
        applyPublished(record.published)
        if let total = record.sealedTotal { applySealed(total: total) }
        for reopening in record.reopenings { applyCommitted(reopening) }
    }
}
