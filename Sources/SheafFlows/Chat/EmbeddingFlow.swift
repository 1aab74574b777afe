package import SheafCore

/// Asks an OpenAI-compatible service for the embedding of each task's text.
///
/// The output is an object with `embedding`, or `embeddings` if the input is a list, with `model` and `usage`, which is
/// summed up over the batch. Failures are those of ``HTTPFlow``, and `unexpected-answer`.
package struct EmbeddingFlow: ModelFlow {
    package let path = "/embeddings"

    private let model: ArgumentTemplate
    private let input: JSONTemplate
    private let options: JSONTemplate
    package let service: ModelService

    /// Defines a flow.
    ///
    /// - Parameters:
    ///   - baseURL: The URL of the service; nil means OpenAI's.
    ///   - key: The API key, a template such as `${API_KEY}`; nil if the service needs none.
    ///   - model: The model, a template.
    ///   - input: A string or a list of strings, which are templates.
    ///   - options: Further members of the request, such as `dimensions`: an object whose strings are templates.
    ///   - headers: More headers; the values are templates.
    ///   - maximumOutput: The most bytes of an answer's body.
    ///   - variables: The values of `${NAME}` in `key`, `model` and `headers`; no message shows them.
    /// - Throws: ``FlowConfigurationProblem`` if the flow is invalid.
    package init(
        baseURL: String? = nil,
        key: String? = nil,
        model: String,
        input: JSONValue,
        options: JSONValue = [:],
        headers: [(name: String, value: String)] = [],
        maximumOutput: Int = ExecFlow.defaultMaximumOutput,
        variables: [String: String] = [:]
    ) throws(FlowConfigurationProblem) {
        for name in ["model", "input"] where options[name] != nil {
            throw FlowConfigurationProblem(.key("options.\(name)"), "set it as a key of the flow, next to 'options'")
        }
        self.model = try RequestParts.template(model, .none, variables, "model")
        self.input = try ModelTemplates.json(input, "input")
        self.options = try ModelTemplates.json(options, "options")
        self.service = try ModelService(
            baseURL: baseURL ?? ChatProvider.openai.baseURL,
            headers: ChatProvider.openai.headers(key: key) + headers,
            maximumOutput: maximumOutput,
            variables: variables
        )
    }

    /// Asks for the embedding of one task.
    package func run(_ task: FlowTask) async throws -> FlowOutput {
        let (scope, body) = try parts(for: task)
        return try output(of: await service.ask(path, body, scope), to: body)
    }

    package func request(for task: FlowTask) throws(FlowError) -> JSONValue { try parts(for: task).body }

    package func output(of answer: JSONValue, for task: FlowTask) throws(FlowError) -> FlowOutput {
        try output(of: answer, to: request(for: task))
    }

    private func output(of answer: JSONValue, to body: JSONValue) throws(FlowError) -> FlowOutput {
        let data = answer["data"]?.arrayValue ?? []
        let embeddings = data.compactMap { $0["embedding"] }
        guard embeddings.count == body["input"]?.arrayValue?.count ?? 1, embeddings.count == data.count else {
            throw ChatAnswer.unexpected("one data[].embedding for each input")
        }
        let usage = OpenAIChat.usage(answer["usage"])
        var output: JSONValue = [:]
        if body["input"]?.arrayValue == nil {
            output.set("embedding", to: embeddings[0])
        } else {
            output.set("embeddings", to: .array(embeddings))
        }
        output.set("model", to: answer["model"] ?? .null)
        output.set("usage", to: usage.json)
        return .metered(.value(output), usage)
    }

    /// Returns the model and the URL of the service, which was checked when the flow was defined.
    package func examine() -> FlowExamination { FlowExamination(use: "asks \(model.text) at \(service.base)") }

    /// Closes the connections.
    package func shutDown() async { await service.shutDown() }

    private func parts(for task: FlowTask) throws(FlowError) -> (scope: TemplateScope, body: JSONValue) {
        do throws(TemplateError) {
            let scope = try TemplateScope(task)
            var body = try ModelTemplates.rendered(options, scope, "options")
            body.set("model", to: .string(try RequestParts.rendered(model, scope, "model")))
            let input = try ModelTemplates.rendered(input, scope, "input")
            switch input {
            case .string, .array: body.set("input", to: input)
            default: body.set("input", to: .string(input.renderedText))
            }
            return (scope, body)
        } catch {
            throw FlowError(type: FlowError.templateType, message: error.description)
        }
    }
}
