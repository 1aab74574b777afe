import SheafBroker
import SheafCore
import SheafSources

/// Publishes again what the broker lost: tasks without an outcome that wait nowhere and that nobody runs.
struct MissingTasks<Items: AsyncSequence>: Reopening where Items.Element == [SourceItem] {
    let client: SheafClient
    /// Whether tasks that may wait somewhere are published again, too.
    let isForced: Bool
    /// Opens the input that the batch was made from; asked only where records are needed that no outcome has.
    let open: (BatchInfo) async throws -> Items

    func choose(_ record: BatchInfo, _ results: FoldedResults) async throws -> ChosenTasks {
        var chosen = ChosenTasks()
        for index in 0..<(record.sealedTotal ?? 0) where results.state.standing(of: index) == .open {
            chosen.tasks.append(index)
        }
        if chosen.tasks.isEmpty || isForced { return chosen }
        let traces = try await TaskTraces(client: client).find(of: record, results)
        guard traces.isEmpty else {
            throw SheafError(
                .notNow,
                "\(chosen.tasks.count) tasks of batch '\(record.id)' have no outcome yet, and they may not be lost: "
                    + traces.joined(separator: ", ") + "; wait for them, or publish them again by --force"
            )
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
        try await mendQueues(of: record)
        // Those that ran again before have failed before, and so an outcome has their record.
        var left = Set(tasks.indices)
        if left.contains(where: { results.state.generation(of: $0) > 0 }) {
            try await results.failuresWithRecord { outcome in
                guard left.contains(outcome.index), let task = outcome.task(of: record, generation: generation) else {
                    return
                }
                left.remove(outcome.index)
                try await publisher.add(task)
            }
        }
        if left.isEmpty { return }
        try await publishFromInput(left, record, generation, publisher)
    }

    /// As many as before: what was lost has not failed, and a batch that its policy has halted is halted again.
    func tolerated(_ record: BatchInfo, _ results: FoldedResults, retried: Int) -> Int { record.tolerated }

    /// Makes the queues of earlier generations again, so that workers do not find the batch broken.
    private func mendQueues(of record: BatchInfo) async throws {
        for generation in record.generations {
            try await client.broker.declareQueue(
                .tasks(of: record.id, flow: record.flow, generation: generation, client.names)
            )
        }
        let permits = Permits(of: record.id, from: record.oldestQueue, client: client)
        if record.maxRunning != nil, try await client.broker.queueStatus(permits.queue) == nil {
            try await permits.mintAll(record.permits)
        }
    }

    private func publishFromInput(
        _ wanted: Set<Int>,
        _ record: BatchInfo,
        _ generation: Int,
        _ publisher: TaskPublisher
    ) async throws {
        let variants = try record.variants().variants
        var seen = ItemDigest()
        var items = 0
        for try await chunk in try await open(record) {
            items += chunk.count
            for item in chunk {
                seen.add(item)
                guard case .record(let content) = item.content else { continue }
                for (offset, parameters) in variants.enumerated() {
                    let index = item.index * variants.count + offset
                    guard wanted.contains(index) else { continue }
                    try await publisher.add(
                        BatchTask(
                            flow: record.flow,
                            batch: record.id,
                            index: index,
                            generation: generation,
                            record: content,
                            parameters: parameters
                        )
                    )
                }
            }
        }
        // Nothing counts yet, so an input that is not the batch's does no harm when it is noticed at its end.
        guard items * variants.count == record.sealedTotal else {
            throw SheafError(
                .invalid,
                "the input makes \(items * variants.count) tasks, and batch '\(record.id)' has "
                    + "\(record.sealedTotal ?? 0): it is not what the batch was made from"
            )
        }
        if record.published == record.sealedTotal, let digest = record.publishedDigest, digest != seen.text {
            throw SheafError(.invalid, "the records are not those that batch '\(record.id)' was made from")
        }
    }
}
