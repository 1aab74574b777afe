// The examples of docs/from-buttermilk.md, which quotes them word for word.
import SheafBatchKit

// example: begin
/// The flow: what to do with one record.
struct WordCount: Flow {
    func run(_ task: FlowTask) async throws -> FlowOutput {
        let text = try task.record.json["text"]?.stringValue ?? ""
        return .value(.integer(text.split(whereSeparator: \.isWhitespace).count))
    }
}
// example: end

// example: begin
/// Creates a batch, as `batch.command=create` does, with its options.
func createBatch(of records: [Record], on client: SheafClient) async throws -> CreatedBatch {
    let stream = AsyncStream<Record> { continuation in
        for record in records { continuation.yield(record) }
        continuation.finish()
    }
    let options = BatchOptions(
        errorPolicy: .continue,
        maxRunning: 10,  // over all workers
        maxRecords: 100,
        parameters: ["lang": "en"]
    )
    return try await client.create(BatchPlan(flow: "your_flow_name", options: options), records: stream)
}
// example: end

// example: begin
/// Pulls one task and waits for its end, as `batch.command=run` does.
func runOneTask(on client: SheafClient) async throws -> WorkerReport {
    let flow = FlowDefinition(name: "your_flow_name", flow: WordCount())
    let worker = Worker(client: client, configuration: WorkerConfiguration(flows: [flow], maxTasks: 1))
    try await worker.run()
    return worker.report
}
// example: end

// example: begin
/// Lists, waits and cancels; each works from any process.
func manage(_ batch: Name, on client: SheafClient) async throws -> BatchStatus {
    for summary in try await client.batches() {
        print("\(summary.info.id) \(summary.info.flow) \(summary.status) \(summary.counts.settled)/\(summary.total)")
    }
    try await client.cancel(batch.text)
    return try await client.wait(for: batch.text, timeout: .seconds(60)).status
}
// example: end
