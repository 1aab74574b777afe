import Foundation
import OrderedCollections
import SheafBatchKit
import SheafCore
import SheafTestTools
import Testing

@Suite("The batch manager", .timeLimit(.minutes(3)))
struct ManagerTests {
    private static let fast = BatchMode.bulk(BulkOptions(waitTime: .milliseconds(200)))

    private static func model(_ server: BatchServer, key: String = BatchServer.key) -> BatchModel {
        .chat("m", at: .openAI(key: key, baseURL: server.base))
    }

    @Test("Three requests are answered, live and in bulk", arguments: [true, false])
    func threeRequests(isBulk: Bool) async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await Scene.with { scene in
                let mode = isBulk ? Self.fast : .live
                try await BatchManager.withManager(
                    model: Self.model(server),
                    mode: mode,
                    store: scene.store,
                    logger: Scene.silent
                ) { manager in
                    let job = try await manager.submit(numbered(1...3))
                    #expect(job.counts.total == 3)
                    let ended = try await manager.wait(for: job.id)
                    #expect(ended.status == .completed && ended.counts.succeeded == 3)
                    let results = try await manager.results(of: job.id)
                    #expect(results.map(\.id) == ["req-1", "req-2", "req-3"])
                    #expect(results.map(\.response) == ["m: 1", "m: 2", "m: 3"])
                    #expect(results.allSatisfy { $0.error == nil })
                    #expect(results[2].usage["input_tokens"] == 4 && ended.usage["input_tokens"] == 2 + 3 + 4)
                }
                let log = try await server.log()
                #expect(log["paid"] == 3 && log["creates"]?.intValue == (isBulk ? 1 : 0), "\(log)")
            }
        }
    }

    @Test("Requests fail one by one, with a reason, and the job completes")
    func failures() async throws {
        try await BatchServer.with { server in
            try await Scene.with { scene in
                try await BatchManager.withManager(
                    model: Self.model(server),
                    mode: Self.fast,
                    store: scene.store,
                    logger: Scene.silent
                ) { manager in
                    var requests = numbered(1...4)
                    requests.append(BatchRequest(id: "empty", body: ["temperature": 0]))
                    let job = try await manager.submit(requests)
                    #expect(try await manager.wait(for: job.id).status == .completed)
                    let results = try await manager.results(of: job.id)
                    #expect(results.map(\.id) == ["req-1", "req-2", "req-3", "req-4", "empty"])
                    #expect(results.map { $0.error == nil } == [true, true, false, true, false])
                    #expect(results[2].error?.message.contains("3 is not to my taste") == true)
                    #expect(results[4].error?.message.contains("it has no 'messages'") == true)
                    try await server.set(["plain": true])
                    let retried = try await manager.retryFailed(of: job.id)
                    #expect(!retried.isFinal)
                    #expect(try await manager.wait(for: job.id).counts.succeeded == 4)
                }
            }
        }
    }

    @Test("A job goes from pending to completed, and a cancelled one is cancelled at once")
    func states() async throws {
        try await BatchServer.with(["plain": true, "hold": true]) { server in
            try await Scene.with { scene in
                try await scene.client { client in
                    let manager = try BatchManager(client: client, model: Self.model(server), mode: Self.fast)
                    let (first, second) = (
                        try await manager.submit(numbered(1...3)), try await manager.submit(numbered(4...5))
                    )
                    #expect(try await manager.status(of: first.id) == .pending)
                    try await running(manager) {
                        try await eventually("the job runs") {
                            try await manager.status(of: first.id) == .processing
                        }
                        try await manager.cancel(second.id, now: true)
                        #expect(try await manager.status(of: second.id) == .cancelled)
                        try await server.set(["hold": false])
                        #expect(try await manager.wait(for: first.id).status == .completed)
                        await #expect(throws: SheafError.self) { try await manager.cancel(first.id) }
                    }
                    #expect(try await manager.jobs().map(\.id) == [second.id, first.id])
                    #expect(try await manager.jobs(status: .cancelled).map(\.id) == [second.id])
                    #expect(try await manager.jobs(limit: 1).map(\.id) == [second.id])
                    await #expect(throws: SheafError.self) { try await manager.status(of: "unknown") }
                    #expect(try await manager.cleanUp(olderThan: .seconds(3_600)).isEmpty)
                    try await eventually("the cancelled job has ended") {
                        try await client.batches(endedBefore: .now + .seconds(60)).count == 2
                    }
                    #expect(Set(try await manager.cleanUp(olderThan: .seconds(-60))) == [first.id, second.id])
                    #expect(try await manager.jobs().isEmpty)
                }
            }
        }
    }

    @Test("A program that is killed after it has submitted leaves a job that the next one finishes, paid for once")
    func restart() async throws {
        try await BatchServer.with(["plain": true, "hold": true]) { server in
            try await Scene.with { scene in
                let probe = try Probe("submit", scene.folder, "kept", server.base, BatchServer.key)
                try await eventually("the provider has the requests") { try await server.count("polls") > 0 }
                probe.kill()
                let id = try #require(probe.what("submitted").first.flatMap { Name(String($0)) })
                try await server.set(["hold": false])
                try await BatchManager.withManager(
                    model: Self.model(server),
                    mode: Self.fast,
                    store: scene.store,
                    name: "kept",
                    logger: Scene.silent
                ) { manager in
                    let open = try await manager.resume()
                    #expect(open.map(\.id) == [id])
                    #expect(try await manager.wait(for: id).counts.succeeded == 3)
                    #expect(try await manager.results(of: id).map(\.response) == ["m: 1", "m: 2", "m: 3"])
                    #expect(try await manager.resume().isEmpty)
                }
                let log = try await server.log()
                #expect(log["creates"] == 1 && log["paid"] == 3 && log["paid_twice"] == 0, "\(log)")
            }
        }
    }

    @Test("Two programs use one store: each request is sent once, and each program finds its results")
    func twoPrograms() async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await Scene.with { scene in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for program in 0..<2 {
                        group.addTask {
                            try await BatchManager.withManager(
                                model: Self.model(server),
                                mode: .live,
                                store: scene.store,
                                logger: Scene.silent
                            ) { manager in
                                let numbers = (0..<50).map { program * 100 + $0 }
                                let job = try await manager.submit(numbered(numbers))
                                #expect(try await manager.wait(for: job.id).counts.succeeded == 50)
                                let results = try await manager.results(of: job.id)
                                #expect(results.map(\.response) == numbers.map { "m: \($0)" })
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                let log = try await server.log()
                #expect(log["paid"] == 100 && log["paid_twice"] == 0, "\(log)")
                try await scene.client { client in
                    let manager = try BatchManager(client: client, model: Self.model(server))
                    #expect(try await manager.jobs(status: .completed).count == 2)
                    // A manager of another provider has neither of them.
                    let other = try BatchManager(
                        client: client,
                        model: .chat("m", at: .openAI(key: "k", baseURL: "http://127.0.0.1:1/v1"))
                    )
                    #expect(try await other.jobs().isEmpty)
                }
            }
        }
    }

    @Test("A submission that is repeated under its id is the same job, and other requests are refused")
    func repeated() async throws {
        try await Scene.with { scene in
            try await scene.client { client in
                let model = BatchModel.chat("m", at: .openAI(key: nil, baseURL: "http://127.0.0.1:1/v1"))
                let manager = try BatchManager(client: client, model: model)
                let job = try await manager.submit(numbered(1...3), id: "nightly")
                #expect(try await manager.submit(numbered(1...3), id: "nightly") == job)
                for others in [numbered(1...2), numbered(2...4)] {
                    let error = await #expect(throws: SheafError.self) {
                        try await manager.submit(others, id: "nightly")
                    }
                    #expect(error?.code == .alreadyExists)
                }
                #expect(try await manager.jobs().count == 1)
                #expect(manager.flow.text.hasPrefix("chat-openai-"))
            }
        }
    }

    @Test("Unusable requests are refused before anything is stored")
    func invalid() async throws {
        try await Scene.with { scene in
            try await scene.client { client in
                let model = BatchModel.chat("m", at: .openAI(key: nil, baseURL: "http://127.0.0.1:1/v1"))
                let manager = try BatchManager(client: client, model: model)
                let text = JSONValue.string(String(repeating: "a", count: 1_100_000))
                let large = BatchRequest(id: "large", messages: [["role": "user", "content": text]])
                for (requests, words) in [
                    ([], "at least one request"), (numbered([1, 2, 1]), "two requests have the id 'req-1'"),
                    ([BatchRequest(id: "", messages: [])], "has 0 bytes"), ([large], "request 'large' has"),
                ] {
                    let error = await #expect(throws: SheafError.self) { try await manager.submit(requests) }
                    #expect(error?.code == .invalid && error?.message.contains(words) == true, "\(error as Any)")
                }
                #expect(try await client.batches().isEmpty)
                #expect(throws: SheafError.self) {
                    try BatchManager(client: client, model: .embedding("m", at: .anthropic(key: "k")))
                }
            }
        }
    }

    @Test("No form of printing a provider shows its key")
    func secrets() {
        let key = "sk-hidden"
        let providers: [ModelProvider] = [
            .openAI(key: key), .azureOpenAI(key: key, baseURL: "https://a.openai.azure.com"), .anthropic(key: key),
            .gemini(key: key), .mistral(key: key), .vertexAI(project: "p", location: "l", token: key),
            .bedrock(region: "us-east-1", accessKey: key, secretKey: key, sessionToken: key),
        ]
        for provider in providers {
            var dumped = ""
            dump(provider, to: &dumped)
            dump(BatchModel.chat("m", at: provider), to: &dumped)
            #expect(!"\(provider) \(String(reflecting: provider)) \(dumped)".contains(key))
        }
    }
}
