import SheafCore

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
