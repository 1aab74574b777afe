import SheafBroker
import SheafCore

/// Looks for tasks of a batch that have no outcome and are not lost.
struct TaskTraces {
    let client: SheafClient

    /// What was found, for people; empty where nothing is anywhere.
    func find(of record: BatchInfo, _ results: FoldedResults) async throws -> [String] {
        var traces: [String] = []
        var waiting = 0
        for generation in record.generations {
            waiting += try await ready(client.names.tasks(flow: record.flow, batch: record.id, generation: generation))
        }
        if waiting > 0 { traces.append("\(waiting) wait in their queue") }
        let suspects = try await ready(client.names.suspects(flow: record.flow))
        if suspects > 0 { traces.append("\(suspects) tasks of the flow wait to be tried alone") }
        let running = try await running(record.id)
        if running > 0 { traces.append("\(running) are being run") }
        let leases = results.state.leases.count
        if leases > 0 { traces.append("\(leases) are kept by workers for long") }
        let delayed = try await delayed(of: record, results)
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

    /// How many tasks were put off so lately that the longest of their delays may not be over.
    private func delayed(of record: BatchInfo, _ results: FoldedResults) async throws -> Int {
        guard let longest = results.delays.values.max() else { return 0 }
        var indices: Set<Int> = []
        let log = client.names.results(batch: record.id)
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
