import OrderedCollections
import SheafBatches
import SheafCore
import SheafFlows

/// Sends requests that are complete, or complete but for what their model adds.
///
/// The request and the answer are those of the flow for chats or embeddings; this one only reads the record.
struct RequestFlow: ModelFlow {
    private let model: BatchModel
    private let inner: any ModelFlow

    /// Prepares to send requests to a model; throws ``SheafError`` with `invalid` if it cannot be used.
    init(_ model: BatchModel) throws(SheafError) {
        self.model = model
        do throws(FlowConfigurationProblem) {
            inner = try Self.inner(model)
        } catch {
            throw SheafError(.invalid, "cannot use model '\(model.name)' at \(model.provider): \(error)")
        }
    }

    private static func inner(_ model: BatchModel) throws(FlowConfigurationProblem) -> any ModelFlow {
        let provider = model.provider
        let headers = provider.headers.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        switch model.kind {
        case .chat:
            return try ChatFlow(
                provider: provider.format,
                baseURL: provider.baseURL,
                apiVersion: provider.apiVersion,
                cloud: provider.cloud,
                key: provider.keyReference,
                model: model.isFixed ? model.name : "{{{model}}}",
                messages: "{{messages}}",
                options: "{{options}}",
                headers: headers,
                variables: provider.secrets
            )
        case .embedding:
            return try EmbeddingFlow(
                provider: provider.format,
                baseURL: provider.baseURL,
                apiVersion: provider.apiVersion,
                key: provider.keyReference,
                model: "{{{model}}}",
                input: "{{input}}",
                options: "{{options}}",
                headers: headers,
                variables: provider.secrets
            )
        }
    }

    var service: ModelService { inner.service }
    var path: String { inner.path }
    var fixedModel: String? { inner.fixedModel }
    var hasOutputTokens: Bool { inner.hasOutputTokens }
    var cloud: ModelCloud? { inner.cloud }

    func request(for task: FlowTask) throws(FlowError) -> ModelRequest { try inner.request(for: prepared(task)) }

    func output(of answer: JSONValue, for task: FlowTask) throws(FlowError) -> FlowOutput {
        try inner.output(of: answer, for: prepared(task))
    }

    func run(_ task: FlowTask) async throws -> FlowOutput { try await inner.run(prepared(task)) }

    func examine() -> FlowExamination {
        FlowExamination(use: "asks \(model.name) at \(service.base)", problem: inner.examine().problem)
    }

    func shutDown() async { await inner.shutDown() }

    /// Returns the task with a record that has `model`, `options`, and `messages` or `input`.
    private func prepared(_ task: FlowTask) throws(FlowError) -> FlowTask {
        let members = try members(of: task.record)
        let input = model.kind.input
        guard let asked = members[input] else { throw Self.invalid("it has no '\(input)'") }
        var options = model.arguments.objectValue ?? [:]
        options.merge(members) { $1 }
        for name in [input, "model"] + BatchRequest.idKeys { options[name] = nil }
        if options["stream"] == true { throw Self.invalid("it asks for a streamed answer, which cannot be read") }
        options["stream"] = nil
        let name = members["model"]?.stringValue ?? model.name
        if model.isFixed, name != model.name {
            throw Self.invalid("it asks model '\(name)'; all requests to \(model.provider) ask '\(model.name)'")
        }
        var task = task
        let record: JSONValue = [input: asked, "model": .string(name), "options": .object(options)]
        task.record = Record(id: task.record.id, kind: .json, bytes: record.bytes)
        return task
    }

    /// Returns the members of a request's body, in whichever form the request is.
    private func members(of record: Record) throws(FlowError) -> OrderedDictionary<String, JSONValue> {
        let json: JSONValue
        do {
            json = try record.json
        } catch {
            throw Self.invalid("it is not JSON: \(error)")
        }
        if json["custom_id"] != nil, json["body"] != nil {
            guard let body = json["body"]?.objectValue else { throw Self.invalid("its 'body' is no object") }
            if let url = json["url"]?.stringValue, !url.hasSuffix(model.kind.path) {
                throw Self.invalid("it is a request to '\(url)', but the model is asked at '\(model.kind.path)'")
            }
            return body
        }
        if let members = json.objectValue { return members }
        // The messages or the text alone.
        if json.arrayValue != nil || (model.kind == .embedding && json.stringValue != nil) {
            return [model.kind.input: json]
        }
        throw Self.invalid("it is neither an object nor a list")
    }

    private static func invalid(_ reason: String) -> FlowError {
        FlowError(type: FlowError.invalidRecordType, message: "the request is unusable: \(reason)")
    }
}

extension BatchModel {
    /// Whether every request asks the same model, because the model decides the format.
    fileprivate var isFixed: Bool { provider.format == .vertex || provider.format == .bedrock }
}

extension BatchModel.Kind {
    /// The member of a request that is asked about.
    fileprivate var input: String { self == .chat ? "messages" : "input" }
    /// The end of the paths of complete requests.
    fileprivate var path: String { self == .chat ? "/chat/completions" : "/embeddings" }
}
