import SheafCore

/// Runs again what failed: the outcomes have the records.
struct FailedTasks: Reopening {
    /// The tasks that somebody has named, or nil for all.
    let wanted: IndexRanges?

    func choose(_ record: BatchInfo, _ results: FoldedResults) async throws -> ChosenTasks {
        let total = record.sealedTotal ?? 0
        if let last = wanted?.ranges.last?.upperBound, last > total {
            throw SheafError(
                .invalid,
                "batch '\(record.id)' has no task \(last - 1): its \(total) tasks are numbered from 0 to \(total - 1)"
            )
        }
        var chosen = ChosenTasks()
        for range in wanted?.ranges ?? [0..<total] {
            for index in range {
                switch results.state.standing(of: index) {
                case .failed: chosen.tasks.append(index)
                case .invalid: chosen.invalid += 1
                case .open, .succeeded: if wanted != nil { chosen.unaffected += 1 }
                }
            }
        }
        return chosen
    }

    func provide(
        _ tasks: IndexRanges,
        of record: BatchInfo,
        generation: Int,
        _ results: FoldedResults,
        to publisher: TaskPublisher
    ) async throws {
        try await results.standingFailures { outcome in
            guard tasks.contains(outcome.index), let task = outcome.task(of: record, generation: generation) else {
                return
            }
            try await publisher.add(task)
        }
    }

    func tolerated(_ record: BatchInfo, _ results: FoldedResults, retried: Int) -> Int {
        results.state.settled.policyFailures - retried
    }
}

extension Outcome {
    /// The task of a failed outcome as it runs in a later generation; nil where the outcome does not have the record.
    func task(of batch: BatchInfo, generation: Int) -> BatchTask? {
        record.map {
            BatchTask(
                flow: batch.flow,
                batch: batch.id,
                index: index,
                generation: generation,
                record: $0,
                parameters: parameters
            )
        }
    }
}
