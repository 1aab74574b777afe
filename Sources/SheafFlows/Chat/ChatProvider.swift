import OrderedCollections
import SheafCore

/// The API that a service of models offers.
package enum ChatProvider: String, Sendable, CaseIterable {
    /// OpenAI's chat completions and embeddings, which most other services offer too.
    case openai
    /// Anthropic's Messages.
    case anthropic
    /// Google's Gemini API.
    case gemini
    /// Mistral's chat completions and embeddings.
    case mistral
    /// Azure OpenAI: OpenAI's chat completions and embeddings, at a resource of the user's.
    case azure
    /// Models of Google and Anthropic in a project of Google Cloud.
    case vertex
    /// Models on Amazon Bedrock.
    case bedrock

    /// The URL of the provider's own service; nil if it has none that all users share.
    package var baseURL: String? {
        switch self {
        case .openai: "https://api.openai.com/v1"
        case .anthropic: "https://api.anthropic.com"
        case .gemini: "https://generativelanguage.googleapis.com"
        case .mistral: "https://api.mistral.ai/v1"
        case .azure, .vertex, .bedrock: nil
        }
    }

    /// Returns the URL below which requests are sent.
    ///
    /// - Parameters:
    ///   - configured: The configured URL; nil means the provider's own.
    ///   - version: The configured version of Azure's API.
    ///   - cloud: What is configured about the cloud.
    func base(
        _ configured: String?,
        version: String?,
        cloud: CloudOptions = CloudOptions()
    ) throws(FlowConfigurationProblem) -> String {
        try cloud.check(for: self)
        if version != nil, self != .azure {
            throw FlowConfigurationProblem(.key("api_version"), "only provider: azure has versions")
        }
        if self == .vertex { return try VertexChat.base(configured, cloud) }
        if self == .bedrock {
            return try ModelCloud.url(
                configured,
                or: BedrockChat.url("bedrock-runtime", BedrockChat.region(cloud)),
                "base_url"
            )
        }
        guard let url = configured ?? baseURL else {
            throw FlowConfigurationProblem(
                .key("base_url"),
                "it is missing; set the URL of your resource, such as https://NAME.openai.azure.com"
            )
        }
        return switch self {
        case .gemini: GeminiChat.base(url)
        case .azure: AzureChat.base(url, version: version)
        case .openai, .anthropic, .mistral, .vertex, .bedrock: url
        }
    }

    /// Returns what authenticates requests, if that is no header that stays the same.
    func authenticator(
        key: String?,
        cloud: CloudOptions,
        variables: [String: String]
    ) throws(FlowConfigurationProblem) -> (any RequestAuthenticator)? {
        switch self {
        case .vertex: return try VertexChat.authenticator(key: key, cloud, variables)
        case .bedrock:
            if key != nil {
                throw FlowConfigurationProblem(
                    .key("api_key"),
                    "provider: bedrock has access_key and secret_key instead"
                )
            }
            return try BedrockChat.authenticator(cloud, variables)
        case .openai, .anthropic, .gemini, .mistral, .azure: return nil
        }
    }

    /// Returns what jobs of many requests need; nil if that is nothing that is configured.
    func cloud(_ options: CloudOptions) throws(FlowConfigurationProblem) -> ModelCloud? {
        switch self {
        case .vertex: try ModelCloud(options, scheme: "gs", storageURL: "https://storage.googleapis.com")
        case .bedrock: try BedrockChat.cloud(options)
        case .openai, .anthropic, .gemini, .mistral, .azure: nil
        }
    }

    /// Returns whether a model is asked with Anthropic's Messages.
    func hasMessages(_ model: String) -> Bool {
        switch self {
        case .anthropic: true
        case .vertex: VertexChat.isClaude(model)
        case .bedrock: BedrockChat.isClaude(model)
        case .openai, .gemini, .mistral, .azure: false
        }
    }

    /// Returns the headers of a request: those that authenticate it, and those of the flow, which come before them.
    func headers(key: String?, and own: [(name: String, value: String)]) -> [(name: String, value: String)] {
        let names = Set(own.map { $0.name.lowercased() })
        return headers(key: key).filter { !names.contains($0.name.lowercased()) } + own
    }

    private func headers(key: String?) -> [(name: String, value: String)] {
        switch self {
        case .openai, .mistral: key.map { [("Authorization", "Bearer \($0)")] } ?? []
        case .anthropic: [("anthropic-version", "2023-06-01")] + (key.map { [("x-api-key", $0)] } ?? [])
        case .gemini: key.map { [("x-goog-api-key", $0)] } ?? []
        case .azure: key.map { [("api-key", $0)] } ?? []
        // Requests are authenticated when they are sent.
        case .vertex, .bedrock: []
        }
    }
}

/// A model's answer, in one form for all providers.
struct ChatAnswer: Sendable, Equatable {
    /// The text; nil if there is none, as may be with tool calls.
    var content: String?
    /// The tool calls that the model asks for: objects with `id`, `name` and `arguments`.
    var toolCalls: [JSONValue] = []
    /// Why the answer ended: `stop`, `length`, `tool_calls`, `content_filter`, or the provider's own word.
    var finishReason: String
    /// The model that answered.
    var model: String?
    /// The usage: `input_tokens`, `output_tokens`, `total_tokens`, and if they are known `cached_tokens`,
    /// `cache_write_tokens` and `reasoning_tokens`, which are parts of those.
    var usage: Usage

    /// The answer as the output of a task.
    var output: FlowOutput {
        .metered(
            .value([
                "content": .optional(content), "tool_calls": .array(toolCalls), "finish_reason": .string(finishReason),
                "model": .optional(model), "usage": usage.json,
            ]),
            usage
        )
    }

    /// Returns the error for an answer that lacks a part; names the error that is in the answer instead.
    static func unexpected(_ what: String, in body: JSONValue) -> FlowError {
        let reason = ModelService.reason(in: body).map { ": \($0)" } ?? ""
        return FlowError(type: "unexpected-answer", message: "the service answered without \(what)\(reason)")
    }
}

extension Usage {
    /// Makes a usage of those amounts that are known.
    init(known: KeyValuePairs<String, Int?>) {
        self.init()
        for (name, amount) in known { if let amount { add(amount, to: name) } }
    }
}

/// The format of OpenAI's chat completions.
enum OpenAIChat {
    static let path = "/chat/completions"

    static func request(model: String, messages: JSONValue, options: JSONValue) -> JSONValue {
        var body = options
        body.set("model", to: .string(model))
        body.set("messages", to: messages)
        return body
    }

    static func answer(_ body: JSONValue) throws(FlowError) -> ChatAnswer {
        guard let choice = body["choices"]?.arrayValue?.first, let message = choice["message"] else {
            throw ChatAnswer.unexpected("choices[0].message", in: body)
        }
        return ChatAnswer(
            content: message["content"]?.stringValue ?? message["refusal"]?.stringValue,
            toolCalls: (message["tool_calls"]?.arrayValue ?? []).map(toolCall),
            finishReason: choice["finish_reason"]?.stringValue ?? "stop",
            model: body["model"]?.stringValue,
            usage: usage(body["usage"])
        )
    }

    /// Reads the usage of a call.
    static func usage(_ usage: JSONValue?) -> Usage {
        Usage(known: [
            "input_tokens": usage?["prompt_tokens"]?.intValue,
            "output_tokens": usage?["completion_tokens"]?.intValue,
            "total_tokens": usage?["total_tokens"]?.intValue,
            "cached_tokens": usage?["prompt_tokens_details"]?["cached_tokens"]?.intValue,
            "reasoning_tokens": usage?["completion_tokens_details"]?["reasoning_tokens"]?.intValue,
        ])
    }

    private static func toolCall(_ call: JSONValue) -> JSONValue {
        let written = call["function"]?["arguments"] ?? "{}"
        return [
            "id": call["id"] ?? .null, "name": call["function"]?["name"] ?? .null,
            // A model may write arguments that are not JSON; they stay a string then. Mistral may send an object.
            "arguments": written.stringValue.flatMap { try? JSON.parse($0) } ?? written,
        ]
    }
}

/// The format of Anthropic's Messages.
enum AnthropicChat {
    static let path = "/v1/messages"
    /// The longest answer by default; the service requires a limit.
    private static let defaultMaximumTokens = 4_096

    /// Makes a request; system messages, images, tools and stop words in OpenAI's format are converted to Anthropic's.
    static func request(model: String, messages: JSONValue, options: JSONValue) -> JSONValue {
        var body: JSONValue = ["model": .string(model)]
        if options["max_tokens"] == nil { body.set("max_tokens", to: .integer(defaultMaximumTokens)) }
        for (name, value) in options.objectValue ?? [:] {
            switch name {
            case "tools": body.set(name, to: .array((value.arrayValue ?? []).map(tool)))
            case "tool_choice": body.set(name, to: toolChoice(value))
            case "stop": body.set("stop_sequences", to: value.stringValue.map { [.string($0)] } ?? value)
            default: body.set(name, to: value)
            }
        }
        let all = messages.arrayValue ?? []
        if let system = AnthropicContent.system(all) { body.set("system", to: system) }
        body.set("messages", to: .array(AnthropicContent.messages(all)))
        return body
    }

    static func answer(_ body: JSONValue) throws(FlowError) -> ChatAnswer {
        guard let blocks = body["content"]?.arrayValue else { throw ChatAnswer.unexpected("content", in: body) }
        let texts = blocks.filter { $0["type"] == "text" }.compactMap { $0["text"]?.stringValue }
        return ChatAnswer(
            content: texts.isEmpty ? nil : texts.joined(),
            toolCalls: blocks.filter { $0["type"] == "tool_use" }.map { block in
                [
                    "id": block["id"] ?? .null, "name": block["name"] ?? .null, "arguments": block["input"] ?? [:],
                ]
            },
            finishReason: finishReason(body["stop_reason"]?.stringValue ?? "end_turn"),
            model: body["model"]?.stringValue,
            usage: usage(body["usage"])
        )
    }

    /// Reads the usage of a call; Anthropic counts cached tokens separately, OpenAI as part of the input.
    private static func usage(_ usage: JSONValue?) -> Usage {
        let (read, written) = (
            usage?["cache_read_input_tokens"]?.intValue, usage?["cache_creation_input_tokens"]?.intValue
        )
        let input = usage?["input_tokens"]?.intValue.map { Usage.sum($0, read ?? 0, written ?? 0) }
        let output = usage?["output_tokens"]?.intValue
        return Usage(known: [
            "input_tokens": input, "output_tokens": output,
            "total_tokens": input.flatMap { input in output.map { Usage.sum(input, $0) } },
            "cached_tokens": read, "cache_write_tokens": written,
        ])
    }

    private static func finishReason(_ reason: String) -> String {
        switch reason {
        case "end_turn", "stop_sequence": "stop"
        case "max_tokens": "length"
        case "tool_use": "tool_calls"
        case "refusal": "content_filter"
        default: reason
        }
    }

    private static func tool(_ tool: JSONValue) -> JSONValue {
        guard let function = tool["function"] else { return tool }
        var converted: JSONValue = ["name": function["name"] ?? .null]
        if let description = function["description"] { converted.set("description", to: description) }
        converted.set("input_schema", to: function["parameters"] ?? ["type": "object"])
        return converted
    }

    private static func toolChoice(_ choice: JSONValue) -> JSONValue {
        switch choice.stringValue {
        case "required": ["type": "any"]
        case let word?: ["type": .string(word)]
        case nil: choice["function"]?["name"].map { ["type": "tool", "name": $0] } ?? choice
        }
    }
}

extension Usage {
    /// Returns the sum of amounts from outside, which may be any numbers, without overflow.
    static func sum(_ amounts: Int...) -> Int {
        amounts.reduce(0) { min($0 + min(max(0, $1), maximumAmount), maximumAmount) }
    }
}
