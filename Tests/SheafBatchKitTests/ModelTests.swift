import SheafBatchKit
import SheafCore
import SheafTestTools
import Testing

@Suite("Models", .timeLimit(.minutes(3)))
struct ModelTests {
    /// A provider that the servers of the tests imitate.
    enum Service: String, CaseIterable, CustomTestStringConvertible {
        case openAI, azure, anthropic, gemini, mistral, vertexAI, bedrock

        var testDescription: String { rawValue }

        func provider(_ server: BatchServer) -> ModelProvider {
            let key = BatchServer.key
            return switch self {
            case .openAI: .openAI(key: key, baseURL: server.base)
            case .azure: .azureOpenAI(key: key, baseURL: server.url)
            case .anthropic: .anthropic(key: key, baseURL: server.url)
            case .gemini: .gemini(key: key, baseURL: server.url)
            case .mistral: .mistral(key: key, baseURL: "\(server.url)/mistral/v1")
            case .vertexAI:
                .vertexAI(
                    project: "tests",
                    location: "us-central1",
                    token: key,
                    storage: "gs://tests-bucket/sheaf",
                    baseURL: server.url,
                    storageURL: server.url
                )
            case .bedrock:
                .bedrock(
                    region: "us-east-1",
                    accessKey: key,
                    secretKey: key,
                    storage: "s3://tests-bucket/sheaf",
                    role: "arn:aws:iam::123456789012:role/batches",
                    minimumRecords: 1,
                    baseURL: server.url,
                    jobsURL: server.url,
                    storageURL: server.url
                )
            }
        }
    }

    @Test(
        "Every provider answers requests of every form, live and in bulk",
        arguments: Service.allCases,
        [true, false]
    )
    func providers(service: Service, isBulk: Bool) async throws {
        try await BatchServer.with(["plain": true]) { server in
            let model = BatchModel.chat("m", at: service.provider(server), arguments: ["max_tokens": 50])
            try await BatchManager.withManager(
                model: model,
                mode: isBulk ? .bulk(BulkOptions(waitTime: .milliseconds(200))) : .live,
                logger: Scene.silent
            ) { manager in
                let body: JSONValue = ["messages": [["role": "user", "content": "8"]], "temperature": 0]
                let job = try await manager.submit([
                    BatchRequest(id: "a", messages: [["role": "user", "content": "6"]], system: "Be brief."),
                    BatchRequest(id: "b", body: [["role": "user", "content": "7"]]),
                    BatchRequest(
                        id: "c",
                        body: ["custom_id": "c", "method": "POST", "url": "/v1/chat/completions", "body": body]
                    ),
                    BatchRequest(
                        id: "d",
                        body: ["custom_id": "d", "method": "POST", "url": "/v1/embeddings", "body": body]
                    ),
                ])
                #expect(try await manager.wait(for: job.id).status == .completed)
                let results = try await manager.results(of: job.id)
                #expect(results.map(\.id) == ["a", "b", "c", "d"])
                #expect(results.map { $0.response?.last } == ["6", "7", "8", nil])
                #expect(results[3].error?.message.contains("it is a request to '/v1/embeddings'") == true)
                #expect(results.prefix(3).allSatisfy { $0.usage["total_tokens"] > 0 })
            }
        }
    }

    @Test("A request may ask another model, and have its own arguments")
    func ownModel() async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await BatchManager.withManager(
                model: .chat("m", at: .openAI(key: BatchServer.key, baseURL: server.base)),
                mode: .live,
                logger: Scene.silent
            ) { manager in
                let message: JSONValue = ["role": "user", "content": "6"]
                let job = try await manager.submit([
                    BatchRequest(id: "a", messages: [message]), BatchRequest(id: "b", messages: [message], model: "n"),
                    BatchRequest(id: "c", messages: [message], arguments: ["stream": true]),
                ])
                _ = try await manager.wait(for: job.id)
                let results = try await manager.results(of: job.id)
                #expect(results.map(\.response) == ["m: 6", "n: 6", nil])
                #expect(results[2].error?.message.contains("streamed") == true)
            }
        }
    }

    @Test("Embeddings are returned as numbers", arguments: [true, false])
    func embeddings(isBulk: Bool) async throws {
        try await BatchServer.with(["plain": true]) { server in
            try await BatchManager.withManager(
                model: .embedding("e", at: .openAI(key: BatchServer.key, baseURL: server.base)),
                mode: isBulk ? .bulk(BulkOptions(waitTime: .milliseconds(200))) : .live,
                logger: Scene.silent
            ) { manager in
                let job = try await manager.submit([
                    BatchRequest(id: "a", input: "5"), BatchRequest(id: "b", body: "6"),
                ])
                _ = try await manager.wait(for: job.id)
                let results = try await manager.results(of: job.id)
                #expect(results.map(\.embedding) == [[5, 0.25, -1e-05], [6, 0.25, -1e-05]])
            }
        }
    }

    @Test("A model whose provider needs more, or does not offer it, is refused with a reason")
    func refused() {
        let storage = "gs://bucket/folder"
        for (model, words) in [
            (BatchModel.embedding("e", at: .anthropic(key: "k")), "no embeddings"),
            (.chat("m", at: .openAI(key: "k", baseURL: "nonsense")), "base_url"),
            (.chat("m", at: .vertexAI(project: "p", location: "l", token: "t", storage: storage, baseURL: "x")), "URL"),
        ] {
            let error = #expect(throws: SheafError.self) { try model.definition(name: "f", mode: .live) }
            #expect(error?.message.contains(words) == true, "\(error as Any)")
        }
    }
}
