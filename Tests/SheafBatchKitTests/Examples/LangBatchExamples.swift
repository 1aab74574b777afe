// The examples of docs/from-langbatch.md, which quotes them word for word.
import Foundation
import Logging
import ServiceLifecycle
import SheafBatchKit

// example: begin
/// Processes a batch that has completed; if it throws, it is called again.
@Sendable
func process(_ batch: HandledBatch) async throws {
    for result in try await batch.partitionedResults().successful {
        print("\(result.id): \(result.response ?? "")")
    }
}
// example: end

// example: begin
func runHandler(of model: BatchModel, on client: SheafClient) async throws {
    let handler = try BatchHandler(client: client, name: "summaries", model: model, process: process)
    let group = ServiceGroup(services: [handler], logger: Logger(label: "summaries"))
    try await group.run()
}
// example: end

// example: begin
func addBatches(to handler: BatchHandler, _ requests: [BatchRequest]) async throws -> [Name] {
    // A batch of requests: stored once the call has returned.
    let first = try await handler.add(requests)
    // A batch that exists already, by its id.
    try await handler.add("55d506ef-2a1f-4ca1-9c6c-3fd2415c83f7")
    return [first, "55d506ef-2a1f-4ca1-9c6c-3fd2415c83f7"]
}
// example: end

// example: begin
func patientHandler(of model: BatchModel, on client: SheafClient) throws -> BatchHandler {
    try BatchHandler(
        client: client,
        name: "summaries",
        model: model,
        waitTime: .seconds(1800),  // the longest time between two looks at a batch of the provider
        bulk: BulkOptions(maxEnqueuedTokens: 2_000_000),
        maximumRunning: 4,
        onFailure: { batch in print("batch \(batch.id): \(batch.failure?.description ?? "")") },
        process: process
    )
}
// example: end

// example: begin
/// Keeps the requests of waiting batches in files; a storage in a database has the same three functions.
struct FileStorage: BatchStorage {
    let folder: URL

    func save(_ requests: [BatchRequest], of batch: Name) async throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let lines: [JSONValue] = requests.map { ["id": .string($0.id), "body": $0.body] }
        try Data(lines.map { $0.text + "\n" }.joined().utf8).write(to: file(batch), options: .atomic)
    }

    func load(_ batch: Name) async throws -> [BatchRequest]? {
        guard FileManager.default.fileExists(atPath: file(batch).path) else { return nil }
        return try String(contentsOf: file(batch), encoding: .utf8).split(separator: "\n").map { line in
            let json = try JSON.parse(String(line))
            return BatchRequest(id: json["id"]?.stringValue ?? "", body: json["body"] ?? [:])
        }
    }

    func remove(_ batch: Name) async throws { try? FileManager.default.removeItem(at: file(batch)) }

    private func file(_ batch: Name) -> URL { folder.appending(path: "\(batch).jsonl") }
}

func storingHandler(of model: BatchModel, on client: SheafClient, in folder: URL) throws -> BatchHandler {
    try BatchHandler(
        client: client,
        name: "summaries",
        model: model,
        queue: BrokerBatchQueue(client: client, name: "summaries"),  // the default; any BatchQueue
        storage: FileStorage(folder: folder),
        process: process
    )
}
// example: end

// example: begin
func geminiOnVertexAI(credentials: String) -> BatchModel {
    .chat(
        "gemini-2.0-flash-001",
        at: .vertexAI(
            project: "my-project",
            location: "us-central1",
            credentials: credentials,
            storage: "gs://my-bucket/batches"
        )
    )
}
// example: end

// example: begin
func serve(model: BatchModel, on client: SheafClient, requests queue: any RequestQueue) async throws {
    let handler = try BatchHandler(client: client, name: "summaries", model: model, process: process)
    let dispatcher = try BatchDispatcher(
        handler: handler,
        queue: queue,
        queueThreshold: 50_000,  // requests
        timeThreshold: .seconds(3600 * 2),  // 2 hours
        timeInterval: .seconds(600),  // 10 minutes
        requestsType: .partial,
        requestKwargs: ["temperature": 0]
    )
    try await ServiceGroup(services: [handler, dispatcher], logger: Logger(label: "summaries")).run()
}
// example: end

// example: begin
func send(_ requests: [BatchRequest], over client: SheafClient) async throws {
    let queue = try await BrokerRequestQueue.open(client: client, name: "stream")
    try await queue.add(requests)
    await queue.close()
}
// example: end

// example: begin
/// Counts what passes on its way to another queue.
struct CountingQueue: RequestQueue {
    let inner: any RequestQueue
    let count: @Sendable (Int) -> Void

    var name: Name { inner.name }

    func add(_ requests: [Record]) async throws {
        try await inner.add(requests)
        count(requests.count)
    }

    func waiting() async throws -> WaitingRequests { try await inner.waiting() }
    func flush() async throws { try await inner.flush() }
    func update() async throws { try await inner.update() }

    func claim(_ rules: DispatchRules, at now: Timestamp) async throws -> RequestGroup? {
        try await inner.claim(rules, at: now)
    }

    func requests(
        of group: RequestGroup,
        from position: Int
    ) async throws -> AsyncThrowingStream<[SourceItem], any Error> {
        try await inner.requests(of: group, from: position)
    }

    func finish(_ group: RequestGroup) async throws { try await inner.finish(group) }
    func changes() async -> AsyncStream<Void> { await inner.changes() }
    func close() async { await inner.close() }
}
// example: end
