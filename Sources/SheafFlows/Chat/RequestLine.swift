import SheafCore

/// A record that is a full request in the format of OpenAI's batch API: `custom_id`, `method`, `url` and `body`.
///
/// It is sent as it is, whatever the flow's prompt says, to a provider whose requests have that form.
enum RequestLine {
    private static let providers: [ChatProvider] = [.openai, .azure, .mistral]

    /// Returns the request that a record is; nil if the record is something else.
    ///
    /// - Parameters:
    ///   - record: The record.
    ///   - provider: The provider that the flow asks.
    ///   - kind: The end of the paths of such requests, such as `/chat/completions`.
    ///   - path: The path that the flow asks; `{model}` stands for the model.
    ///   - model: Returns the model of the flow, for a request that names none.
    /// - Throws: ``TemplateError`` if the request is one that the flow cannot send.
    static func request(
        of record: JSONValue,
        to provider: ChatProvider,
        asking kind: String,
        at path: String,
        model: () throws(TemplateError) -> String
    ) throws(TemplateError) -> ModelRequest? {
        guard providers.contains(provider), record["custom_id"]?.stringValue != nil, record["method"] == "POST",
            let url = record["url"]?.stringValue, var body = record["body"], body.objectValue != nil
        else { return nil }
        guard url.hasSuffix(kind) else {
            throw TemplateError("the record is a request to '\(url)', but the flow asks '\(kind)'")
        }
        if body["stream"] == true { throw TemplateError("the record asks for a streamed answer; it cannot be read") }
        let named = body["model"]?.stringValue
        let model = if let named { named } else { try model() }
        if named == nil { body.set("model", to: .string(model)) }
        return ModelRequest(
            model: model,
            path: provider == .azure ? try AzureChat.filled(path, model: model) : path,
            body: body,
            listed: body["input"]?.arrayValue?.count
        )
    }
}
