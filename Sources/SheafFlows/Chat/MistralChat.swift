import OrderedCollections
import SheafCore

/// The format of Mistral's chat completions, as far as it differs from OpenAI's.
///
/// The format is that of Mistral's documentation, <https://docs.mistral.ai/api>.
enum MistralChat {
    static let path = OpenAIChat.path

    /// The options that Mistral names in another way than OpenAI.
    private static let names = ["seed": "random_seed", "max_completion_tokens": "max_tokens"]

    static func request(model: String, messages: JSONValue, options: JSONValue) -> JSONValue {
        var converted: JSONValue = [:]
        for (name, value) in options.objectValue ?? [:] { converted.set(names[name] ?? name, to: value) }
        return OpenAIChat.request(model: model, messages: messages, options: converted)
    }

    static func answer(_ body: JSONValue) throws(FlowError) -> ChatAnswer {
        var answer = try OpenAIChat.answer(body)
        // A model that reasons answers with a list of parts; its thoughts are not the answer.
        if let parts = body["choices"]?.arrayValue?.first?["message"]?["content"]?.arrayValue {
            let texts = parts.filter { $0["type"] == "text" }.compactMap { $0["text"]?.stringValue }
            answer.content = texts.isEmpty ? nil : texts.joined()
        }
        if answer.finishReason == "model_length" { answer.finishReason = "length" }
        return answer
    }
}
