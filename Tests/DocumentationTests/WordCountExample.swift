// The code between the two marks is quoted word for word in README.md and in the article "Getting started".
// example: begin
import Logging
import ServiceLifecycle
import Sheaf

/// What to do with one record: a flow as a Swift type.
struct WordCount: Flow {
    func run(_ task: FlowTask) async throws -> FlowOutput {
        guard let text = try task.record.json.stringValue else {
            throw FlowError(type: "not-text", message: "record \(task.record.id) is not a string")
        }
        return .value(["words": .integer(text.split(whereSeparator: \.isWhitespace).count)])
    }
}

/// Publishes a batch, runs it, and returns the outcome of each task.
func countWords(of texts: KeyValuePairs<String, String>, on broker: BrokerReference) async throws -> [Outcome] {
    let flow: Name = "wordcount"
    let logger = Logger(label: "word-count")
    return try await SheafClient.withClient(broker: broker, logger: logger) { client in
        // Create a batch, from any asynchronous sequence of records.
        let records = AsyncStream<Record> { continuation in
            for (name, text) in texts { continuation.yield(Record(id: name, kind: .text, bytes: Array(text.utf8))) }
            continuation.finish()
        }
        let batch = try await client.create(BatchPlan(flow: flow), records: records)

        // Run its tasks. A worker is a service; other processes may run more of them.
        let definition = FlowDefinition(name: flow, flow: WordCount(), timeout: .seconds(10), retries: 2)
        let worker = Worker(client: client, configuration: WorkerConfiguration(flows: [definition], concurrency: 4))
        let group = ServiceGroup(services: [worker], logger: logger)
        async let work: Void = group.run()

        // Follow the batch to its end, then stop the worker.
        for try await summary in client.progress(of: batch.id.text) {
            print("\(summary.status): \(summary.counts.settled) of \(summary.total)")
        }
        await group.triggerGracefulShutdown()
        try await work

        // Read the results: one outcome for each task, by index.
        var outcomes: [Outcome] = []
        for try await chunk in try await client.results(of: batch.id.text, ordered: true) { outcomes += chunk }
        return outcomes
    }
}
// example: end
