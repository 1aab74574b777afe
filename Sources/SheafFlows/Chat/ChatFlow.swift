package import SheafCore

/// Asks a chat model for each task.
///
/// The output is an object with `content`, `tool_calls` (each with `id`, `name` and `arguments`), `finish_reason`
/// (`stop`, `length`, `tool_calls`, `content_filter` or the provider's own), `model` and `usage`, which is summed up
/// over the batch. Failures are those of ``HTTPFlow``, and `unexpected-answer`.
package struct ChatFlow: ModelFlow {
    private let provider: ChatProvider
    private let model: ArgumentTemplate
    private let messages: JSONTemplate
    private let options: JSONTemplate
    package let service: ModelService
    package let path: String
    package let cloud: ModelCloud?

    /// Defines a flow.
    ///
    /// - Parameters:
    ///   - provider: The API that the service offers.
    ///   - baseURL: The URL of the service; nil means the provider's own.
    ///   - apiVersion: The version of Azure's API; nil means the one that has no versions.
    ///   - cloud: What is configured about the cloud that runs the models.
    ///   - key: The API key, a template such as `${API_KEY}`; nil if the service needs none.
    ///   - model: The model, a template.
    ///   - messages: A list of messages with `role` and `content`, whose strings are templates; or a template that
    ///     gives such a list.
    ///   - options: Further members of the request, such as `temperature` or `tools`: an object whose strings are
    ///     templates.
    ///   - headers: More headers; the values are templates.
    ///   - maximumOutput: The most bytes of an answer's body.
    ///   - variables: The values of `${NAME}` in `key`, `model` and `headers`; no message shows them.
    /// - Throws: ``FlowConfigurationProblem`` if the flow is invalid.
    package init(
        provider: ChatProvider = .openai,
        baseURL: String? = nil,
        apiVersion: String? = nil,
        cloud: CloudOptions = CloudOptions(),
        key: String? = nil,
        model: String,
        messages: JSONValue,
        options: JSONValue = [:],
        headers: [(name: String, value: String)] = [],
        maximumOutput: Int = ExecFlow.defaultMaximumOutput,
        variables: [String: String] = [:]
    ) throws(FlowConfigurationProblem) {
        try Self.check(messages: messages)
        for name in ["model", "messages", "stream"] where options[name] != nil {
            let advice =
                name == "stream"
                ? "streamed answers are not supported" : "set it as a key of the flow, next to 'options'"
            throw FlowConfigurationProblem(.key("options.\(name)"), advice)
        }
        if provider.hasMessages(model), options["response_format"] != nil {
            throw FlowConfigurationProblem(.key("options.response_format"), "Anthropic's Messages have no such option")
        }
        self.provider = provider
        self.model = try RequestParts.template(model, .none, variables, "model")
        self.messages = try ModelTemplates.json(messages, "messages")
        self.options = try ModelTemplates.json(options, "options")
        self.service = try ModelService(
            baseURL: provider.base(baseURL, version: apiVersion, cloud: cloud),
            query: AzureChat.query(version: apiVersion),
            headers: provider.headers(key: key, and: headers),
            authenticator: provider.authenticator(key: key, cloud: cloud, variables: variables),
            maximumOutput: maximumOutput,
            // The path of a key file is no secret.
            variables: variables.filter { cloud.credentials?.contains("${\($0.key)}") != true }
        )
        self.cloud = try provider.cloud(cloud)
        self.path =
            switch provider {
            case .openai: OpenAIChat.path
            case .anthropic: AnthropicChat.path
            case .gemini: GeminiChat.path
            case .mistral: MistralChat.path
            case .azure: AzureChat.path(OpenAIChat.path, version: apiVersion)
            case .vertex: VertexChat.path
            case .bedrock: BedrockChat.path
            }
    }

    /// Asks the model about one task.
    package func run(_ task: FlowTask) async throws -> FlowOutput {
        let (scope, request) = try parts(for: task)
        return try output(of: await service.ask(request, scope), for: task)
    }

    package var fixedModel: String? { model.isTemplated ? nil : model.text }
    package var hasOutputTokens: Bool { true }

    package func request(for task: FlowTask) throws(FlowError) -> ModelRequest { try parts(for: task).request }

    package func output(of answer: JSONValue, for task: FlowTask) throws(FlowError) -> FlowOutput {
        do throws(FlowError) {
            return switch provider {
            case .openai, .azure: try OpenAIChat.answer(answer).output
            case .anthropic: try AnthropicChat.answer(answer).output
            case .gemini: try GeminiChat.answer(answer).output
            case .mistral: try MistralChat.answer(answer).output
            case .vertex: try VertexChat.answer(answer).output
            case .bedrock: try BedrockChat.answer(answer, model: fixedModel).output
            }
        } catch {
            throw service.masked(error)
        }
    }

    /// Returns the model and the URL of the service, which was checked when the flow was defined.
    package func examine() -> FlowExamination {
        FlowExamination(use: "asks \(model.text) at \(service.base)", problem: service.problem)
    }

    /// Closes the connections.
    package func shutDown() async { await service.shutDown() }

    private func parts(for task: FlowTask) throws(FlowError) -> (scope: TemplateScope, request: ModelRequest) {
        do throws(TemplateError) {
            let scope = try TemplateScope(task)
            if let request = try RequestLine.request(
                of: scope.record,
                to: provider,
                asking: OpenAIChat.path,
                at: path,
                model: { () throws(TemplateError) in try RequestParts.rendered(self.model, scope, "model") }
            ) {
                return (scope, request)
            }
            let model = try RequestParts.rendered(model, scope, "model")
            let messages = try ModelTemplates.rendered(messages, scope, "messages")
            guard let list = messages.arrayValue, !list.isEmpty, list.allSatisfy({ $0["role"] != nil }) else {
                throw TemplateError("messages: the template's result is not a list of messages with a role each")
            }
            let options = try ModelTemplates.rendered(options, scope, "options")
            var path = path
            let body: JSONValue
            switch provider {
            case .openai: body = OpenAIChat.request(model: model, messages: messages, options: options)
            case .anthropic: body = AnthropicChat.request(model: model, messages: messages, options: options)
            case .gemini:
                path = try GeminiChat.filled(path, model: model)
                body = try GeminiChat.request(messages: messages, options: options)
            case .mistral: body = MistralChat.request(model: model, messages: messages, options: options)
            case .azure:
                path = try AzureChat.filled(path, model: model)
                body = OpenAIChat.request(model: model, messages: messages, options: options)
            case .vertex: return (scope, try VertexChat.request(model: model, messages: messages, options: options))
            case .bedrock: return (scope, try BedrockChat.request(model: model, messages: messages, options: options))
            }
            return (scope, ModelRequest(model: model, path: path, body: body))
        } catch {
            throw FlowError(type: FlowError.templateType, message: error.description)
        }
    }

    private static func check(messages: JSONValue) throws(FlowConfigurationProblem) {
        if messages.stringValue?.contains("{{") == true { return }
        guard let list = messages.arrayValue, !list.isEmpty else {
            throw FlowConfigurationProblem(
                .key("messages"),
                "expected a list of messages such as { role: user, content: \"{{text}}\" }"
            )
        }
        for (position, message) in list.enumerated() where message["role"]?.stringValue == nil {
            throw FlowConfigurationProblem(
                .key("messages[\(position)]"),
                "the message has no role, such as user or system"
            )
        }
    }
}
