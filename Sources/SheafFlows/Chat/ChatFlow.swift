public import SheafCore

/// Asks a chat model for each task.
///
/// The output is an object with `content`, `tool_calls` (each with `id`, `name` and `arguments`), `finish_reason` (`stop`,
/// `length`, `tool_calls`, `content_filter` or the provider's own), `model` and `usage`, which is added up over the batch. Failures are those of ``HTTPFlow``, and
/// `unexpected-answer`.
public struct ChatFlow: ExaminableFlow {
    private let provider: ChatProvider
    private let model: ArgumentTemplate
    private let messages: JSONTemplate
    private let options: JSONTemplate
    private let service: ModelService

    /// Defines a flow.
    ///
    /// - Parameters:
    ///   - provider: How the service is spoken to.
    ///   - baseURL: Where it is; nil means at the provider itself.
    ///   - key: What proves who asks: a template, such as `${API_KEY}`; nil where the service does not ask for it.
    ///   - model: The model, a template.
    ///   - messages: A list of messages with `role` and `content`, of which the texts are templates; or a template that
    ///     gives such a list.
    ///   - options: What else the request says, such as `temperature` or `tools`: an object of which the texts are
    ///     templates.
    ///   - headers: More headers; the values are templates.
    ///   - maximumOutput: The most bytes of an answer's body.
    ///   - variables: What `${NAME}` stands for in `key`, `model` and `headers`; no message shows the values.
    /// - Throws: ``FlowConfigurationProblem`` where the flow makes no sense.
    public init(
        provider: ChatProvider = .openai,
        baseURL: String? = nil,
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
            let advice = name == "stream" ? "an answer is read as a whole" : "it has a key of its own beside 'options'"
            throw FlowConfigurationProblem(.key("options.\(name)"), advice)
        }
        if provider == .anthropic, options["response_format"] != nil {
            throw FlowConfigurationProblem(.key("options.response_format"), "Anthropic's Messages have none")
        }
        self.provider = provider
        self.model = try RequestParts.template(model, .none, variables, "model")
        self.messages = try ModelTemplates.json(messages, "messages")
        self.options = try ModelTemplates.json(options, "options")
        self.service = try ModelService(
            baseURL: baseURL ?? provider.baseURL,
            headers: provider.headers(key: key) + headers,
            maximumOutput: maximumOutput,
            variables: variables
        )
    }

    /// Asks the model about one task.
    public func run(_ task: FlowTask) async throws -> FlowOutput {
        let (scope, body) = try request(for: task)
        switch provider {
        case .openai: return try OpenAIChat.answer(await service.ask(OpenAIChat.path, body, scope)).output
        case .anthropic: return try AnthropicChat.answer(await service.ask(AnthropicChat.path, body, scope)).output
        }
    }

    /// Says which model is asked where; that its URL is one was seen when the flow was defined.
    public func examine() -> FlowExamination { FlowExamination(use: "asks \(model.text) at \(service.base)") }

    /// Closes the connections.
    public func shutDown() async { await service.shutDown() }

    private func request(for task: FlowTask) throws(FlowError) -> (TemplateScope, JSONValue) {
        do throws(TemplateError) {
            let scope = try TemplateScope(task)
            let model = try RequestParts.rendered(model, scope, "model")
            let messages = try ModelTemplates.rendered(messages, scope, "messages")
            guard let list = messages.arrayValue, !list.isEmpty, list.allSatisfy({ $0["role"] != nil }) else {
                throw TemplateError("messages: what the template gives is no list of messages with a role each")
            }
            let options = try ModelTemplates.rendered(options, scope, "options")
            let body =
                switch provider {
                case .openai: OpenAIChat.request(model: model, messages: messages, options: options)
                case .anthropic: AnthropicChat.request(model: model, messages: messages, options: options)
                }
            return (scope, body)
        } catch {
            throw FlowError(type: "template", message: error.description)
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
                "a message has a role, such as user or system"
            )
        }
    }
}
