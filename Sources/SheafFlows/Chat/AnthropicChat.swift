import OrderedCollections
import SheafCore

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
