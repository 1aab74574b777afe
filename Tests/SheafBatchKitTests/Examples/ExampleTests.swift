import Foundation
import SheafBatchKit
import SheafCore
import SheafTestTools
import Testing

/// Runs the Swift examples of the pages.
@Suite("The examples of the pages", .timeLimit(.minutes(2)))
struct ExampleTests {
    private static func model(_ server: BatchServer) -> BatchModel {
        .chat("m", at: .openAI(key: BatchServer.key, baseURL: server.base))
    }

    // MARK: from-nagents.md

    @Test("Requests are submitted, polled and reported")
    func polling() async throws {
        try await BatchServer.with(["plain": true]) { server in
            let summaries = try await summarize(with: Self.model(server))
            #expect(
                summaries.map(\.response) == [
                    "m: Summarize: AI is transforming...", "m: Summarize: Machine learning...",
                    "m: Summarize: Neural networks...",
                ]
            )
            try await BatchManager.withManager(model: Self.model(server), mode: .live, logger: Scene.silent) {
                manager in
                var requests = numbered(1...3)
                requests.append(BatchRequest(id: "bad", body: [:]))
                let job = try await manager.submit(requests)
                let results = try await poll(job, of: manager, every: .milliseconds(50))
                #expect(report(results) == (3, 1))
            }
        }
    }

    @Test("A job in a store is found by another manager, and a cancelled one is cancelled")
    func stored() async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await Scene.with { scene in
                let id = try await submit(numbered(1...3), to: Self.model(server), store: scene.folder)
                let results = try await results(of: id, from: Self.model(server), store: scene.folder)
                #expect(results.map(\.response) == ["m: 1", "m: 2", "m: 3"])
                try await scene.client { client in
                    let manager = try BatchManager(client: client, model: Self.model(server))
                    #expect(try await submitAndCancel(numbered(1...3), with: manager) == .cancelled)
                }
            }
        }
    }

    // MARK: from-langbatch.md

    @Test("A handler processes batches of requests and existing ones")
    func handler() async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await Scene.with { scene in
                try await scene.client { client in
                    let existing: Name = "55d506ef-2a1f-4ca1-9c6c-3fd2415c83f7"
                    let adder = try patientHandler(of: Self.model(server), on: client)
                    _ = try await adder.add(numbered(1...2), id: existing)
                    let added = try await addBatches(to: adder, numbered(3...5))
                    #expect(Set(try await adder.unfinished()) == Set(added) && added.last == existing)
                    try await whileRunning({ try await runHandler(of: Self.model(server), on: client) }) {
                        try await eventually("all are processed") { try await adder.unfinished().isEmpty }
                    }
                    for id in added { #expect(try await client.batch(id.text).status == .completed) }
                }
            }
        }
    }

    @Test("A handler with a storage of its own processes what is in it")
    func storage() async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await Scene.with { scene in
                try await scene.client { client in
                    let folder = URL(filePath: "\(scene.folder)/storage")
                    let handler = try storingHandler(of: Self.model(server), on: client, in: folder)
                    let id = try await handler.add(numbered(1...3))
                    #expect(try await FileStorage(folder: folder).load(id) == numbered(1...3))
                    try await running(handler) {
                        try await eventually("all are processed") { try await handler.unfinished().isEmpty }
                    }
                    #expect(try await client.batch(id.text).counts.succeeded == 3)
                    #expect(try await FileStorage(folder: folder).load(id) == nil)
                }
            }
        }
    }

    @Test("A model on Vertex AI is one that a handler can run")
    func vertexAI() throws {
        let model = geminiOnVertexAI(credentials: "/etc/sheaf/worker-key.json")
        #expect(try model.definition(name: "f", mode: .bulk()).name == "f")
    }

    @Test("Requests that are sent to a queue become a batch, which is processed", arguments: [true, false])
    func dispatching(isOwnQueue: Bool) async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await Scene.with { scene in
                try await scene.client { client in
                    let (counted, broker) = (
                        Calls(), try await BrokerRequestQueue.open(client: client, name: "stream")
                    )
                    let own = CountingQueue(inner: MemoryRequestQueue(name: "memory")) { counted.note("\($0)") }
                    let queue: any RequestQueue = isOwnQueue ? own : broker
                    let model = Self.model(server)
                    try await whileRunning({ try await serve(model: model, on: client, requests: queue) }) {
                        if isOwnQueue {
                            try await queue.add(numbered(1...3))
                        } else {
                            try await send(numbered(1...3), over: client)
                        }
                        try await queue.flush()
                        let handled = BrokerBatchQueue(client: client, name: "summaries")
                        try await eventually("the batch is processed") {
                            let isCompleted = try await client.batches().first?.status == .completed
                            let waiting = try await handled.unfinished()
                            return isCompleted && waiting.isEmpty
                        }
                    }
                    #expect(try await client.batches().map(\.counts.succeeded) == [3])
                    #expect(counted.all == (isOwnQueue ? ["3"] : []))
                    await broker.close()
                }
            }
        }
    }

    // MARK: from-buttermilk.md

    @Test("A batch is created, run in parts, listed and cancelled")
    func batches() async throws {
        try await Scene.with { scene in
            try await scene.client { client in
                let records = ["one two", "three", "four five six"].enumerated().map { number, text in
                    Record(id: "r\(number)", kind: .json, bytes: Array(#"{"text": "\#(text)"}"#.utf8))
                }
                let batch = try await createBatch(of: records, on: client)
                #expect(batch.total == 3)
                #expect(try await runOneTask(on: client).succeeded == 1)
                #expect(try await manage(batch.id, on: client) == .cancelled)
                let counts = try await client.batch(batch.id.text).counts
                #expect(counts.succeeded == 1 && counts.cancelled == 2)
            }
        }
    }

    /// Runs the body while a program runs that does not end by itself.
    private func whileRunning(
        _ program: @escaping @Sendable () async throws -> Void,
        _ body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await program() }
            try await body()
            group.cancelAll()
            while let result = await group.nextResult() {
                if case .failure(let error) = result, !(error is CancellationError) { throw error }
            }
        }
    }
}
