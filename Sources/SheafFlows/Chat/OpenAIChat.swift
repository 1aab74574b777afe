import SheafCore

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
