import BitCollections

extension BatchState {
    /// Notes which tasks a retry wants to open again; they are once the journal has its `redone`, in whatever order.
    public mutating func applyReopened(redo: Int, nonce: String, tasks: IndexRanges) {
        if let winner = committed[redo], winner != nonce { return }
        let limit = sealedTotal ?? Self.maximumTasks
        var fresh = BitSet()
        for range in tasks.ranges where range.lowerBound < limit {
            fresh.insert(all: range.clamped(to: 0..<limit))
        }
        if committed[redo] == nonce {
            let known = reopened[redo]?[nonce] ?? BitSet()
            reopen(fresh.subtracting(known), redo: redo)
        }
        reopened[redo, default: [:]][nonce, default: BitSet()].formUnion(fresh)
    }

    /// Opens what a retry has named, now that the journal says that it counts.
    public mutating func applyCommitted(_ reopening: BatchRecord.Reopening) {
        guard committed[reopening.redo] == nil else { return }
        committed[reopening.redo] = reopening.nonce
        let tasks = reopened[reopening.redo]?[reopening.nonce] ?? BitSet()
        reopened[reopening.redo] = [reopening.nonce: tasks]
        reopen(tasks, redo: reopening.redo)
    }

    /// Whether all tasks of those retries are open again, so that what counts as settled is.
    public func hasReopened(_ reopenings: [BatchRecord.Reopening]) -> Bool {
        reopenings.allSatisfy { reopened[$0.redo]?[$0.nonce]?.count ?? 0 >= $0.count }
    }

    /// Notes that a worker has put a task into the results log.
    public mutating func applyLeased(_ lease: TaskLease) {
        let generation = generation(of: lease.index)
        // One of a generation that this reader has not seen opened yet is kept: the journal may be behind.
        if lease.redo > generation || (lease.redo == generation && !isSettled(lease.index)) {
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
        case .reopened(let redo, let nonce, let tasks): applyReopened(redo: redo, nonce: nonce, tasks: tasks)
        case .leased(var lease):
            lease.offset = offset
            applyLeased(lease)
        case .returned(let id): applyReturned(lease: id)
        case .delayed, .checkpoint, .unknown: break
        }
    }

    /// Applies what the journal says of the batch's size and generations.
    public mutating func apply(_ record: BatchRecord) {
        applyPublished(record.published)
        if let total = record.sealedTotal { applySealed(total: total) }
        for reopening in record.reopenings { applyCommitted(reopening) }
    }
}
