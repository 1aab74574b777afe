import SheafBroker
import SheafCore
import SheafSources

/// Publishes tasks again that the broker lost: they have no outcome, wait in no queue and run on no worker.
struct MissingTasks<Items: AsyncSequence>: Reopening where Items.Element == [SourceItem] {
    let client: SheafClient
    /// Whether tasks that may not be lost are published again too.
    let isForced: Bool
    /// Opens the input of the batch; called only if records are needed that no outcome has.
    let open: (BatchInfo) async throws -> Items

    func choose(_ batch: BatchInfo, _ results: FoldedResults) async throws -> ChosenTasks {
        var chosen = ChosenTasks()
        for index in 0..<(batch.sealedTotal ?? 0) where results.state.standing(of: index) == .open {
            // The others would run at once if they were published again.
            if batch.isPastPilot || results.state.isOfPilot(index) { chosen.tasks.append(index) }
        }
        if chosen.tasks.isEmpty || isForced { return chosen }
        let traces = try await TaskTraces(client: client).find(of: batch, results)
        guard traces.isEmpty else {
            throw SheafError(
                .notNow,
                "\(chosen.tasks.count) tasks of batch '\(batch.id)' have no outcome yet, and they may not be lost: "
                    + traces.joined(separator: ", "),
                advice: .forceRetryMissing(batch.id)
            )
        }
        return chosen
    }

    func provide(
        _ tasks: IndexRanges,
        of batch: BatchInfo,
        generation: Int,
        _ results: FoldedResults,
        to publisher: TaskPublisher
    ) async throws {
        try await restoreQueues(of: batch)
        // Tasks that were retried before have failed before, so an outcome has their record.
        var left = Set(tasks.indices)
        if left.contains(where: { results.state.generation(of: $0) > 0 }) {
            try await results.failuresWithRecord { outcome in
                guard left.contains(outcome.index), let task = outcome.task(of: batch, generation: generation) else {
                    return
                }
                left.remove(outcome.index)
                try await publisher.add(task)
            }
        }
        if left.isEmpty { return }
        try await publishFromInput(left, batch, generation, publisher)
    }

    /// Unchanged: lost tasks have not failed, and a batch that its policy has stopped must be stopped again.
    func tolerated(_ batch: BatchInfo, _ results: FoldedResults, retried: Int) -> Int { batch.tolerated }

    /// Declares the queues of earlier generations again, so that workers do not report them as lost.
    private func restoreQueues(of batch: BatchInfo) async throws {
        for queue in batch.queues {
            try await client.broker.declareQueue(.tasks(of: batch.id, flow: batch.flow, queue, client.names))
        }
        let permits = Permits(of: batch.id, from: batch.oldestQueue, client: client)
        if batch.maxRunning != nil, try await client.broker.queueStatus(permits.queue) == nil {
            try await permits.mintAll(batch.permits)
        }
    }

    private func publishFromInput(
        _ wanted: Set<Int>,
        _ batch: BatchInfo,
        _ generation: Int,
        _ publisher: TaskPublisher
    ) async throws {
        let variants = try batch.variants().variants
        var seen = ItemDigest()
        var items = 0
        for try await chunk in try await open(batch) {
            items += chunk.count
            for item in chunk {
                seen.add(item)
                guard case .record(let content) = item.content else { continue }
                for (offset, parameters) in variants.enumerated() {
                    let index = item.index * variants.count + offset
                    guard wanted.contains(index) else { continue }
                    try await publisher.add(
                        BatchTask(
                            flow: batch.flow,
                            batch: batch.id,
                            index: index,
                            generation: generation,
                            record: content,
                            parameters: parameters
                        )
                    )
                }
            }
        }
        // Nothing counts yet, so it is early enough to find at the end that the input is a different one.
        guard items * variants.count == batch.sealedTotal else {
            throw SourceError(
                .changed,
                "wrong input: it yields \(items * variants.count) tasks, but batch '\(batch.id)' has "
                    + "\(batch.sealedTotal ?? 0)"
            )
        }
        if batch.published == batch.sealedTotal, let digest = batch.publishedDigest, digest != seen.text {
            throw SourceError(
                .changed,
                "wrong input: its records are not those from which batch '\(batch.id)' was created"
            )
        }
    }
}

/// Searches for tasks of a batch that have no outcome and may not be lost.
struct TaskTraces {
    let client: SheafClient

    /// Where tasks were found, as phrases for an error message; empty if all are lost.
    func find(of batch: BatchInfo, _ results: FoldedResults) async throws -> [String] {
        var traces: [String] = []
        var waiting = 0
        for queue in batch.openQueues {
            waiting += try await ready(client.names.tasks(flow: batch.flow, batch: batch.id, queue: queue))
        }
        if waiting > 0 { traces.append("\(waiting) wait in their queue") }
        let suspects = try await ready(client.names.suspects(flow: batch.flow))
        if suspects > 0 { traces.append("\(suspects) tasks of the flow wait in the queue of suspects") }
        let running = try await running(batch.id)
        if running > 0 { traces.append("\(running) are being run") }
        let leases = results.state.leases.count
        if leases > 0 { traces.append("\(leases) are leased by workers") }
        let delayed = try await delayed(of: batch, results)
        if delayed > 0 { traces.append("\(delayed) may wait for another attempt") }
        return traces
    }

    private func ready(_ queue: String) async throws -> Int {
        try await retrying(for: .seconds(15)) { try await client.broker.queueStatus(queue) }?.ready ?? 0
    }

    private func running(_ batch: Name) async throws -> Int {
        var board = LiveWorkers()
        try await client.broker.replay(client.names.heartbeats, from: .since(Heartbeat.lifetime)) { chunk in
            for entry in chunk.entries { board.apply(entry.message) }
        }
        return board.running(batch)
    }

    /// How many tasks were delayed so recently that the longest of their delays may not be over.
    private func delayed(of batch: BatchInfo, _ results: FoldedResults) async throws -> Int {
        guard let longest = results.delays.values.max() else { return 0 }
        var indices: Set<Int> = []
        let log = client.names.results(batch: batch.id)
        // The broker rounds a delay up to its next step, at most to twice as much.
        try await client.broker.replay(log, from: .since(longest * 2 + .seconds(1))) { chunk in
            for entry in chunk.entries {
                if case .delayed(let index, _, _) = ResultEvent(entry.message), results.delays[index] != nil {
                    indices.insert(index)
                }
            }
        }
        return indices.count
    }
}
