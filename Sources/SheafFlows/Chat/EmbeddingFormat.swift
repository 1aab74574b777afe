import OrderedCollections
import SheafCore

/// How a provider writes requests for embeddings and their answers.
enum EmbeddingFormat {
    /// Returns the path of the requests; `{model}` stands for the model.
    static func path(of provider: ChatProvider) -> String {
        provider == .gemini ? "/{model}:embedContent" : "/embeddings"
    }

    /// Makes a request for the embedding of a string, or of each string of a list.
    static func request(
        to provider: ChatProvider,
        model: String,
        input: JSONValue,
        options: JSONValue
    ) throws(TemplateError) -> ModelRequest {
        let count = input.arrayValue?.count
        let path = Self.path(of: provider)
        guard provider == .gemini else {
            var body: JSONValue = [:]
            for (name, value) in options.objectValue ?? [:] {
                body.set(provider == .mistral && name == "dimensions" ? "output_dimension" : name, to: value)
            }
            body.set("model", to: .string(model))
            body.set("input", to: input)
            return ModelRequest(model: model, path: path, body: body, listed: count)
        }
        guard let texts = input.arrayValue else {
            return ModelRequest(
                model: model,
                path: try GeminiChat.filled(path, model: model),
                body: gemini(model, input, options)
            )
        }
        return ModelRequest(
            model: model,
            path: try GeminiChat.filled("/{model}:batchEmbedContents", model: model),
            body: ["requests": .array(texts.map { gemini(model, $0, options) })],
            listed: count
        )
    }

    private static func gemini(_ model: String, _ text: JSONValue, _ options: JSONValue) -> JSONValue {
        var body: JSONValue = [
            "model": .string(GeminiChat.resource(model)),
            "content": ["parts": [["text": .string(text.renderedText)]]],
        ]
        for (name, value) in options.objectValue ?? [:] {
            body.set(["dimensions": "outputDimensionality", "task_type": "taskType"][name] ?? name, to: value)
        }
        return body
    }

    /// Reads the embeddings, the model and the usage of an answer.
    static func answer(
        _ body: JSONValue,
        of provider: ChatProvider,
        to request: ModelRequest
    ) throws(FlowError) -> (embeddings: [JSONValue], model: JSONValue, usage: Usage) {
        let entries: [JSONValue]
        let missing: String
        if provider == .gemini {
            let isList = request.listed != nil
            entries = isList ? body["embeddings"]?.arrayValue ?? [] : [body["embedding"]].compactMap { $0 }
            missing = isList ? "one embeddings[].values for each input" : "embedding.values"
        } else {
            entries = body["data"]?.arrayValue ?? []
            missing = "one data[].embedding for each input"
        }
        let embeddings = entries.compactMap { provider == .gemini ? $0["values"] : $0["embedding"] }
        guard embeddings.count == request.inputs, embeddings.count == entries.count else {
            throw ChatAnswer.unexpected(missing, in: body)
        }
        if provider == .gemini {
            return (embeddings, .string(request.model), GeminiChat.usage(body["usageMetadata"]))
        }
        return (embeddings, body["model"] ?? .null, OpenAIChat.usage(body["usage"]))
    }
}
