package import SheafCore

/// Asks a service of models for the embedding of each task's text.
///
/// The output is an object with `embedding`, or `embeddings` if the input is a list, with `model` and `usage`, which is
/// summed up over the batch. Failures are those of ``HTTPFlow``, and `unexpected-answer`.
package struct EmbeddingFlow: ModelFlow {
    private let provider: ChatProvider
    private let model: ArgumentTemplate
    private let input: JSONTemplate
    private let options: JSONTemplate
    package let service: ModelService
    package let path: String

    /// Defines a flow.
    ///
    /// - Parameters:
    ///   - provider: The API that the service offers.
    ///   - baseURL: The URL of the service; nil means the provider's own.
    ///   - apiVersion: The version of Azure's API; nil means the one that has no versions.
    ///   - key: The API key, a template such as `${API_KEY}`; nil if the service needs none.
    ///   - model: The model, a template.
    ///   - input: A string or a list of strings, which are templates.
    ///   - options: Further members of the request, such as `dimensions`: an object whose strings are templates.
    ///   - headers: More headers; the values are templates.
    ///   - maximumOutput: The most bytes of an answer's body.
    ///   - variables: The values of `${NAME}` in `key`, `model` and `headers`; no message shows them.
    /// - Throws: ``FlowConfigurationProblem`` if the flow is invalid.
    package init(
        provider: ChatProvider = .openai,
        baseURL: String? = nil,
        apiVersion: String? = nil,
        key: String? = nil,
        model: String,
        input: JSONValue,
        options: JSONValue = [:],
        headers: [(name: String, value: String)] = [],
        maximumOutput: Int = ExecFlow.defaultMaximumOutput,
        variables: [String: String] = [:]
    ) throws(FlowConfigurationProblem) {
        if provider == .anthropic {
            throw FlowConfigurationProblem(.key("provider"), "Anthropic has no embeddings")
        }
        if provider == .vertex || provider == .bedrock {
            throw FlowConfigurationProblem(.key("provider"), "embeddings of this provider are not supported")
        }
        for name in ["model", "input"] where options[name] != nil {
            throw FlowConfigurationProblem(.key("options.\(name)"), "set it as a key of the flow, next to 'options'")
        }
        self.provider = provider
        self.model = try RequestParts.template(model, .none, variables, "model")
        self.input = try ModelTemplates.json(input, "input")
        self.options = try ModelTemplates.json(options, "options")
        self.service = try ModelService(
            baseURL: provider.base(baseURL, version: apiVersion),
            query: AzureChat.query(version: apiVersion),
            headers: provider.headers(key: key, and: headers),
            maximumOutput: maximumOutput,
            variables: variables
        )
        let path = EmbeddingFormat.path(of: provider)
        self.path = provider == .azure ? AzureChat.path(path, version: apiVersion) : path
    }

    /// Asks for the embedding of one task.
    package func run(_ task: FlowTask) async throws -> FlowOutput {
        let (scope, request) = try parts(for: task)
        return try output(of: await service.ask(request, scope), to: request)
    }

    package var fixedModel: String? { model.isTemplated ? nil : model.text }
    package var hasOutputTokens: Bool { false }

    package func request(for task: FlowTask) throws(FlowError) -> ModelRequest { try parts(for: task).request }

    package func output(of answer: JSONValue, for task: FlowTask) throws(FlowError) -> FlowOutput {
        try output(of: answer, to: request(for: task))
    }

    private func output(of answer: JSONValue, to request: ModelRequest) throws(FlowError) -> FlowOutput {
        let (embeddings, model, usage): ([JSONValue], JSONValue, Usage)
        do throws(FlowError) {
            (embeddings, model, usage) = try EmbeddingFormat.answer(answer, of: provider, to: request)
        } catch {
            throw service.masked(error)
        }
        var output: JSONValue = [:]
        if request.listed != nil {
            output.set("embeddings", to: .array(embeddings))
        } else {
            output.set("embedding", to: embeddings[0])
        }
        output.set("model", to: model)
        output.set("usage", to: usage.json)
        return .metered(.value(output), usage)
    }

    /// Returns the model and the URL of the service, which was checked when the flow was defined.
    package func examine() -> FlowExamination { FlowExamination(use: "asks \(model.text) at \(service.base)") }

    /// Closes the connections.
    package func shutDown() async { await service.shutDown() }

    private func parts(for task: FlowTask) throws(FlowError) -> (scope: TemplateScope, request: ModelRequest) {
        do throws(TemplateError) {
            let scope = try TemplateScope(task)
            if let request = try RequestLine.request(
                of: scope.record,
                to: provider,
                asking: EmbeddingFormat.path(of: provider),
                at: path,
                model: { () throws(TemplateError) in try RequestParts.rendered(model, scope, "model") }
            ) {
                return (scope, request)
            }
            let input = try ModelTemplates.rendered(input, scope, "input")
            var request = try EmbeddingFormat.request(
                to: provider,
                model: RequestParts.rendered(model, scope, "model"),
                input: input.arrayValue == nil ? .string(input.renderedText) : input,
                options: ModelTemplates.rendered(options, scope, "options")
            )
            if provider == .azure { request.path = try AzureChat.filled(path, model: request.model) }
            return (scope, request)
        } catch {
            throw FlowError(type: FlowError.templateType, message: error.description)
        }
    }
}
