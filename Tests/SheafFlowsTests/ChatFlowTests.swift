import SheafCore
import SheafTestTools
import Testing

@testable import SheafFlows

/// Chat models and embeddings, with a server that answers as their services do.
@Suite(.timeLimit(.minutes(2))) struct ChatFlowTests {
    private static let variables = ["KEY": ModelServer.key]
    private static let messages: JSONValue = [
        ["role": "system", "content": "Be {{mood}}"], ["role": "user", "content": "{{n}}"],
    ]
    private static let tool: JSONValue = [
        "type": "function",
        "function": ["name": "look", "description": "Looks", "parameters": ["type": "object"]],
    ]

    private static func base(_ provider: ChatProvider, _ server: ModelServer) -> String {
        switch provider {
        case .openai: "\(server.url)/v1/"
        case .anthropic, .gemini, .azure, .vertex, .bedrock: server.url
        case .mistral: "\(server.url)/mistral/v1"
        }
    }

    private static func cloud(_ provider: ChatProvider, key: String) -> CloudOptions {
        var options = CloudOptions()
        if provider == .vertex { (options.project, options.location) = ("p", "l") }
        if provider == .bedrock {
            options.region = "us-east-1"
            (options.accessKey, options.secretKey) = (key, key)
        }
        return options
    }

    private func flow(
        _ provider: ChatProvider,
        _ server: ModelServer,
        key: String = "${KEY}",
        options: JSONValue = [:]
    ) throws -> ChatFlow {
        try ChatFlow(
            provider: provider,
            baseURL: Self.base(provider, server),
            cloud: Self.cloud(provider, key: key),
            key: provider == .bedrock ? nil : key,
            model: "m-{{size}}",
            messages: Self.messages,
            options: options,
            variables: Self.variables
        )
    }

    private func run(_ flow: some Flow, _ number: Int) async throws -> (JSONValue, Usage) {
        let task = try FlowFixtures.task(json: #"{"n": "\#(number)", "mood": "kind"}"#, parameters: ["size": 7])
        do {
            let output = try await flow.run(task)
            await flow.shutDown()
            return (try JSON.parse(output.json), output.usage)
        } catch {
            await flow.shutDown()
            throw error
        }
    }

    @Test("A chat with the OpenAI API sends the messages and reads the answer")
    func openAI() async throws {
        try await ModelServer.with { server in
            let (output, usage) = try await run(flow(.openai, server), 12)
            #expect(output["content"] == "m-7: 12")
            #expect(output["tool_calls"] == [])
            #expect(output["finish_reason"] == "stop")
            #expect(output["model"] == "m-7-2026")
            #expect(
                usage == Usage(["input_tokens": 13, "output_tokens": 6, "total_tokens": 19, "cached_tokens": 1])
            )
            #expect(output["usage"] == usage.json)
        }
    }

    @Test("Images, calls of tools and their results are converted for Anthropic") func anthropicContent() throws {
        let picture: JSONValue = ["type": "image_url", "image_url": ["url": "data:image/png;base64,{{n}}"]]
        let link: JSONValue = ["type": "image_url", "image_url": "https://h/{{n}}"]
        let call: JSONValue = ["id": "c", "function": ["name": "look", "arguments": #"{"n":1}"#]]
        let messages: JSONValue = [
            ["role": "system", "content": [["type": "text", "text": "s"]]],
            ["role": "user", "content": [["type": "text", "text": "t"], picture, link]],
            ["role": "assistant", "content": "a", "tool_calls": [call]],
            ["role": "tool", "tool_call_id": "c", "content": "r"],
        ]
        let flow = try ChatFlow(provider: .anthropic, model: "m", messages: messages)
        let body = try flow.request(for: FlowFixtures.task(json: #"{"n": "x"}"#)).body
        #expect(body["system"] == "s")
        let blocks: JSONValue = [
            ["type": "text", "text": "t"],
            ["type": "image", "source": ["type": "base64", "media_type": "image/png", "data": "x"]],
            ["type": "image", "source": ["type": "url", "url": "https://h/x"]],
        ]
        let use: JSONValue = ["type": "tool_use", "id": "c", "name": "look", "input": ["n": 1]]
        let result: JSONValue = ["type": "tool_result", "tool_use_id": "c", "content": "r"]
        #expect(
            body["messages"] == [
                ["role": "user", "content": blocks],
                ["role": "assistant", "content": [["type": "text", "text": "a"], use]],
                ["role": "user", "content": [result]],
            ]
        )
    }

    @Test("A chat with Azure asks the model that is named, or the deployment in the path of an older API")
    func azure() async throws {
        try await ModelServer.with { server in
            for version in [nil, "2025-04-01-preview"] {
                let flow = try ChatFlow(
                    provider: .azure,
                    baseURL: server.url + (version == nil ? "/openai/v1/" : ""),
                    apiVersion: version,
                    key: "${KEY}",
                    model: "m-{{size}}",
                    messages: Self.messages,
                    variables: Self.variables
                )
                let (output, usage) = try await run(flow, 12)
                #expect(output["content"] == "m-7: 12" && usage["input_tokens"] == 13)
            }
            #expect(throws: FlowConfigurationProblem.self) {
                try ChatFlow(provider: .azure, model: "m", messages: Self.messages)
            }
            let messages: JSONValue = [["role": "user", "content": "1"]]
            #expect(throws: FlowConfigurationProblem.self) {
                try ChatFlow(baseURL: server.url, apiVersion: "1", model: "m", messages: messages)
            }
            #expect(throws: FlowConfigurationProblem.self) {
                try ChatFlow(provider: .azure, baseURL: server.url, apiVersion: "1&a=b", model: "m", messages: messages)
            }
        }
    }

    @Test("A chat with the Anthropic API converts the request and the answer")
    func anthropic() async throws {
        try await ModelServer.with { server in
            let (output, usage) = try await run(flow(.anthropic, server), 12)
            #expect(output["content"] == "Be kind: 12")
            #expect(output["finish_reason"] == "stop")
            #expect(usage["input_tokens"] == 13 && usage["output_tokens"] == 6 && usage["total_tokens"] == 19)
            #expect(usage["cached_tokens"] == 1)
        }
    }

    @Test("A chat with the Gemini API converts the request and the answer")
    func gemini() async throws {
        try await ModelServer.with { server in
            let options: JSONValue = ["max_tokens": 9, "stop": "x", "response_format": ["type": "json_object"]]
            let (output, usage) = try await run(flow(.gemini, server, options: options), 12)
            #expect(output["content"] == "Be kind: 12", "thoughts are left out")
            #expect(output["finish_reason"] == "stop" && output["model"] == "m-7-001")
            #expect(
                usage
                    == Usage([
                        "input_tokens": 13, "output_tokens": 6, "total_tokens": 19, "cached_tokens": 1,
                        "reasoning_tokens": 1,
                    ])
            )
            let unknown = try #require(
                await #expect(throws: FlowError.self) {
                    try await run(flow(.gemini, server, options: ["nonsense": 1]), 12)
                }
            )
            #expect(
                unknown.message.hasSuffix(#"answered 400 Bad Request: Unknown name "nonsense": Cannot find field."#)
            )
        }
    }

    @Test("A chat with the Mistral API converts options, and reads an answer in parts")
    func mistral() async throws {
        try await ModelServer.with { server in
            let options: JSONValue = ["seed": 1, "max_completion_tokens": 9]
            let (output, usage) = try await run(flow(.mistral, server, options: options), 12)
            #expect(output["content"] == "m-7: 12", "thoughts are left out")
            #expect(output["finish_reason"] == "length")
            #expect(usage == Usage(["input_tokens": 13, "output_tokens": 6, "total_tokens": 19]))
        }
    }

    @Test("Tool calls have one form for all providers", arguments: ChatProvider.allCases)
    func toolCalls(provider: ChatProvider) async throws {
        try await ModelServer.with { server in
            let options: JSONValue = ["tools": .array([Self.tool])]
            let (output, _) = try await run(flow(provider, server, options: options), 12)
            #expect(output["finish_reason"] == "tool_calls")
            #expect(output["tool_calls"]?.arrayValue?[0]["name"] == "look")
            #expect(output["tool_calls"]?.arrayValue?[0]["arguments"] == ["n": 12])
        }
    }

    @Test("Errors of the service become failures or throttles", arguments: ChatProvider.allCases)
    func failures(provider: ChatProvider) async throws {
        try await ModelServer.with { server in
            let refused = try #require(
                await #expect(throws: FlowError.self) { try await run(flow(provider, server), 250) }
            )
            #expect(refused.type == "http-400" && !refused.isRetryable)
            #expect(refused.message.hasSuffix("answered 400 Bad Request: 250 is not to my taste"))
            let broken = try #require(
                await #expect(throws: FlowError.self) { try await run(flow(provider, server), 7) }
            )
            #expect(broken.type == "http-500" && broken.isRetryable)
            let throttle = try #require(
                await #expect(throws: FlowThrottle.self) { try await run(flow(provider, server), 3) }
            )
            #expect(throttle.delay == .milliseconds(50))
            #expect(throttle.message.hasSuffix("too fast"))
            let denied = try #require(
                await #expect(throws: FlowThrottle.self) { try await run(flow(provider, server, key: "${KEY}-x"), 1) }
            )
            let status = [.gemini: 400, .bedrock: 403][provider] ?? 401
            #expect(denied.needsPeople && denied.message.contains("answered \(status)"))
            #expect(!denied.message.contains(ModelServer.key) && denied.message.contains("***"))
        }
    }

    @Test("Embeddings are returned for a string and for a list of strings")
    func embeddings() async throws {
        try await ModelServer.with { server in
            func flow(_ input: JSONValue) throws -> EmbeddingFlow {
                try EmbeddingFlow(
                    baseURL: "\(server.url)/v1",
                    key: "${KEY}",
                    model: "e",
                    input: input,
                    variables: Self.variables
                )
            }
            let (one, usage) = try await run(flow("{{n}}"), 4)
            #expect(one["embedding"]?.arrayValue?.map(\.doubleValue) == [4, 0.25, -1e-05])
            #expect(usage == Usage(["input_tokens": 5, "total_tokens": 5]))
            let (two, _) = try await run(flow(["{{n}}", "8"]), 4)
            #expect(two["embeddings"]?.arrayValue?.count == 2)
        }
    }

    @Test("Embeddings of Gemini and Mistral have the same form", arguments: [ChatProvider.gemini, .mistral])
    func otherEmbeddings(provider: ChatProvider) async throws {
        try await ModelServer.with { server in
            func flow(_ input: JSONValue) throws -> EmbeddingFlow {
                try EmbeddingFlow(
                    provider: provider,
                    baseURL: Self.base(provider, server),
                    key: "${KEY}",
                    model: "e",
                    input: input,
                    options: ["dimensions": 3],
                    variables: Self.variables
                )
            }
            let (one, _) = try await run(flow("{{n}}"), 4)
            #expect(one["embedding"]?.arrayValue?.map(\.doubleValue) == [4, 0.25, -1e-05])
            #expect(one["model"] == "e")
            let (two, usage) = try await run(flow(["{{n}}", "8"]), 4)
            #expect(two["embeddings"]?.arrayValue?.compactMap { $0.arrayValue?.first?.doubleValue } == [4, 8])
            #expect(usage == Usage(["input_tokens": 5, "total_tokens": 5]))
        }
    }

    @Test(
        "Invalid definitions are rejected",
        arguments: [
            (JSONValue.array([]), [:] as JSONValue, "messages: expected a list of messages such as"),
            ([["content": "x"]], [:], "messages[0]: the message has no role"),
            ([["role": "user", "content": "{{"]], [:], "messages: the tag '{{' is not closed"),
            (
                [["role": "user", "content": "x"]], ["stream": true],
                "options.stream: streamed answers are not supported"
            ),
            ([["role": "user", "content": "x"]], ["model": "m"], "options.model: set it as a key of the flow"),
        ] as [(JSONValue, JSONValue, String)]
    )
    func invalidDefinitions(messages: JSONValue, options: JSONValue, message: String) {
        let problem = #expect(throws: FlowConfigurationProblem.self) {
            try ChatFlow(model: "m", messages: messages, options: options)
        }
        #expect(problem?.description.hasPrefix(message) == true, "\(problem?.description ?? "")")
    }
}
