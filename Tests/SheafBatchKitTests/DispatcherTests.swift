import SheafBatchKit
import SheafCore
import SheafTestSupport
import SheafTestTools
import Synchronization
import Testing

@Suite("The batch dispatcher", .timeLimit(.minutes(3)))
struct BatchDispatcherTests {
    enum QueueKind: String, CaseIterable, CustomTestStringConvertible {
        case memory, broker

        var testDescription: String { rawValue }

        func open(_ client: SheafClient) async throws -> any RequestQueue {
            switch self {
            case .memory: MemoryRequestQueue(name: "stream")
            case .broker: try await BrokerRequestQueue.open(client: client, name: "stream")
            }
        }
    }

    @Test("Requests become batches, which run at the provider and are processed", arguments: QueueKind.allCases)
    func endToEnd(kind: QueueKind) async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await Scene.with { scene in
                try await scene.client { client in
                    let answers = Mutex<[String: String]>([:])
                    let handler = try BatchHandler(
                        client: client,
                        name: "ask",
                        model: .chat("m", at: .openAI(key: BatchServer.key, baseURL: server.base)),
                        waitTime: .milliseconds(200),
                        logger: Scene.silent
                    ) { batch in
                        for result in try await batch.results() {
                            answers.withLock { $0[result.id] = result.response }
                        }
                    }
                    let queue = try await kind.open(client)
                    let dispatcher = try BatchDispatcher(
                        handler: handler,
                        queue: queue,
                        queueThreshold: 10,
                        timeThreshold: .milliseconds(300),
                        timeInterval: .milliseconds(100),
                        requestKwargs: ["temperature": 0],
                        logger: Scene.silent
                    )
                    try await running(handler, dispatcher) {
                        try await queue.add(numbered(0..<25))
                        try await eventually("all are answered") { answers.withLock { $0.count } == 25 }
                    }
                    let expected = (0..<25).map { ("req-\($0)", "m: \($0)") }
                    #expect(answers.withLock { $0 } == Dictionary(uniqueKeysWithValues: expected))
                    // Two batches by number, and the rest by age.
                    let sizes = try await client.batches().map(\.total)
                    #expect(sizes.reduce(0, +) == 25 && sizes.allSatisfy { $0 <= 10 } && sizes.prefix(2) == [10, 10])
                    #expect(try await handler.unfinished().isEmpty)
                    await queue.close()
                }
                let log = try await server.log()
                #expect(log["paid"] == 25 && log["paid_twice"] == 0, "\(log)")
            }
        }
    }

    @Test("If a batch cannot be handed over at first, its requests stay in the queue, and it is handed over later")
    func handingFails() async throws {
        try await Scene.with { scene in
            try await scene.client { client in
                let processed = Calls()
                let batches = FailingQueue(inner: BrokerBatchQueue(client: client, name: "work"))
                let handler = BatchHandler(
                    client: client,
                    name: "work",
                    definition: try .work { .value(try $0.record.json["n"] ?? .null) },
                    queue: batches,
                    logger: Scene.silent
                ) { batch in
                    for result in try await batch.results() { processed.note(result.id) }
                }
                let queue = try await QueueKind.broker.open(client)
                let dispatcher = try BatchDispatcher(
                    handler: handler,
                    queue: queue,
                    queueThreshold: 5,
                    timeInterval: .milliseconds(50),
                    logger: Scene.silent
                )
                try await running(handler, dispatcher) {
                    try await queue.add((0..<10).map { BatchRequest(id: "r\($0)", body: ["n": .integer($0)]) })
                    try await eventually("all are processed") { Set(processed.all).count == 10 }
                }
                #expect(processed.all.count == 10 && batches.failures.load(ordering: .relaxed) == 3)
                #expect(try await client.batches().count == 2)
                await queue.close()
            }
        }
    }

    @Test("Shared arguments of complete requests are refused")
    func invalid() async throws {
        try await Scene.with { scene in
            try await scene.client { client in
                let handler = BatchHandler(
                    client: client,
                    name: "work",
                    definition: try .work { _ in .value(0) },
                    logger: Scene.silent
                ) { _ in }
                let queue = MemoryRequestQueue(name: "stream")
                for (type, arguments) in [(.full, ["temperature": 0]), (.partial, "no object")]
                    as [(BatchDispatcher.RequestsType, JSONValue)]
                {
                    let error = #expect(throws: SheafError.self) {
                        try BatchDispatcher(
                            handler: handler,
                            queue: queue,
                            requestsType: type,
                            requestKwargs: arguments
                        )
                    }
                    #expect(error?.message.contains("requestKwargs") == true)
                }
            }
        }
    }
}

/// A queue that fails to add three times.
private final class FailingQueue: BatchQueue {
    private struct Unreachable: Error {}

    let failures = Atomic(0)
    private let inner: BrokerBatchQueue

    init(inner: BrokerBatchQueue) { self.inner = inner }

    func add(_ batches: [Name]) async throws {
        if failures.load(ordering: .relaxed) < 3 {
            failures.wrappingAdd(1, ordering: .relaxed)
            throw Unreachable()
        }
        try await inner.add(batches)
    }

    func unfinished() async throws -> [Name] { try await inner.unfinished() }
    func finish(_ batch: Name) async throws { try await inner.finish(batch) }
    func changes() async -> AsyncStream<Void> { await inner.changes() }
}
