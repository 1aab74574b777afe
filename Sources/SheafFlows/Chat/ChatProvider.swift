import OrderedCollections
import SheafCore

/// Whose way of speaking with models a service understands.
public enum ChatProvider: String, Sendable, CaseIterable {
    /// Chat completions and embeddings of OpenAI, which most services offer too.
    case openai
    /// The Messages of Anthropic.
    case anthropic

    /// Where the provider itself answers.
    public var baseURL: String {
        switch self {
        case .openai: "https://api.openai.com/v1"
        case .anthropic: "https://api.anthropic.com"
        }
    }

    /// The headers that say who asks.
    func headers(key: String?) -> [(name: String, value: String)] {
        switch self {
        case .openai: key.map { [("Authorization", "Bearer \($0)")] } ?? []
        case .anthropic: [("anthropic-version", "2023-06-01")] + (key.map { [("x-api-key", $0)] } ?? [])
        }
    }
}

/// What a model answered, in one form for all providers.
struct ChatAnswer: Sendable, Equatable {
    /// The text; nil where there is none, as beside tool calls.
    var content: String?
    /// What the model wants to be called: objects with `id`, `name` and `arguments`.
    var toolCalls: [JSONValue] = []
    /// Why it ended: `stop`, `length`, `tool_calls`, `content_filter`, or the provider's own word.
    var finishReason: String
    /// The model that answered.
    var model: String?
    /// What it took: `input_tokens`, `output_tokens`, `total_tokens`, and where known `cached_tokens`,
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

    /// The error for an answer that is none.
    static func unexpected(_ what: String) -> FlowError {
        FlowError(type: "unexpected-answer", message: "the service answered without \(what)")
    }
}

extension Usage {
    /// Makes a usage of the amounts that are known.
    init(known: KeyValuePairs<String, Int?>) {
        self.init()
        for (name, amount) in known { if let amount { add(amount, to: name) } }
    }
}

/// Chat completions of OpenAI.
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
            throw ChatAnswer.unexpected("choices[0].message")
        }
        return ChatAnswer(
            content: message["content"]?.stringValue ?? message["refusal"]?.stringValue,
            toolCalls: (message["tool_calls"]?.arrayValue ?? []).map(toolCall),
            finishReason: choice["finish_reason"]?.stringValue ?? "stop",
            model: body["model"]?.stringValue,
            usage: usage(body["usage"])
        )
    }

    /// What a call of OpenAI's took.
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
        let arguments = call["function"]?["arguments"]?.stringValue ?? "{}"
        return [
            "id": call["id"] ?? .null, "name": call["function"]?["name"] ?? .null,
            // A model may write what is not JSON; then it stays the text it wrote.
            "arguments": (try? JSON.parse(arguments)) ?? .string(arguments),
        ]
    }
}

/// The Messages of Anthropic.
enum AnthropicChat {
    static let path = "/v1/messages"
    /// How long an answer may be where nothing is said; the service insists on a limit.
    static let defaultMaximumTokens = 4_096

    /// The request; what is written as for OpenAI is put as Anthropic has it: system messages, tools and stop words.
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
        let system = all.filter { $0["role"] == "system" }.compactMap { $0["content"]?.stringValue }
        if !system.isEmpty { body.set("system", to: .string(system.joined(separator: "\n\n"))) }
        body.set("messages", to: .array(all.filter { $0["role"] != "system" }))
        return body
    }

    static func answer(_ body: JSONValue) throws(FlowError) -> ChatAnswer {
        guard let blocks = body["content"]?.arrayValue else { throw ChatAnswer.unexpected("content") }
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

    /// What a call took; Anthropic counts what came from or went to its cache apart, OpenAI within the input.
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
    /// The sum of amounts that somebody else wrote, and that may be any.
    fileprivate static func sum(_ amounts: Int...) -> Int {
        amounts.reduce(0) { min($0 + min(max(0, $1), maximumAmount), maximumAmount) }
    }
}
