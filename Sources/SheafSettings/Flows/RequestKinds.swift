import OrderedCollections
import SheafCore
import SheafFlows

/// A flow that sends an HTTP request for each task.
struct HTTPKind: RequestKind {
    let key = "http"
    let timeout: Duration? = .seconds(60)

    private static let keys = ["url", "method", "headers", "body", "response", "redirects", "private_addresses"]

    func read(_ entry: FlowEntry) throws(SettingsError) -> any Flow {
        let request = try RequestReader(entry, knowing: Self.keys)
        let keys = request.keys
        guard let url = keys["url"] else { throw entry.value.error("it has no url") }
        let address = try url.nonEmptyText("a URL")
        let method = try keys["method"]?.nonEmptyText("a method such as GET or POST")
        let headers = try request.headers()
        let response = try Self.response(keys["response"])
        let redirects = try keys["redirects"]?.int(atLeast: 0) ?? HTTPFlow.defaultRedirects
        let allowsPrivateAddresses = try keys["private_addresses"]?.bool() ?? false
        return try request.placing { () throws(FlowConfigurationProblem) in
            try HTTPFlow(
                url: address,
                method: method,
                headers: headers,
                body: keys["body"].map(Self.body),
                response: response,
                redirects: redirects,
                allowsPrivateAddresses: allowsPrivateAddresses,
                maximumOutput: request.maximumOutput,
                variables: entry.variables
            )
        }
    }

    private static func body(_ member: SettingsReader) -> HTTPFlow.Body {
        if case .scalar(let scalar) = member.node.value { .text(scalar.text) } else { .json(member.json) }
    }

    private static func response(_ member: SettingsReader?) throws(SettingsError) -> HTTPFlow.Response {
        guard let member else { return .auto }
        let names = HTTPFlow.Response.allCases.map(\.rawValue).joined(separator: ", ")
        guard let response = HTTPFlow.Response(rawValue: try member.text("one of \(names)")) else {
            throw member.expected("one of \(names)")
        }
        return response
    }
}

/// A flow that asks a language model.
struct ChatKind: ModelKind {
    let key = "chat"
    let timeout: Duration? = .seconds(600)

    private static let keys = [
        "provider", "base_url", "api_version", "api_key", "model", "system", "prompt", "messages", "options", "headers",
    ]

    func impliedVariables(in parts: [String: String]) -> ImpliedVariables {
        CloudReader.impliedVariables(in: parts)
    }

    func read(_ entry: FlowEntry) throws(SettingsError) -> any Flow {
        let request = try RequestReader(entry, knowing: Self.keys + CloudReader.keys)
        let provider = try request.provider()
        let model = try request.model()
        let cloud = try CloudReader.options(request.keys, for: provider, entry)
        let messages = try Self.messages(entry.value, request.keys)
        let flow = try request.placing { () throws(FlowConfigurationProblem) in
            try ChatFlow(
                provider: provider,
                baseURL: model.baseURL,
                apiVersion: model.apiVersion,
                cloud: cloud,
                key: model.key,
                model: model.name,
                messages: messages,
                options: model.options,
                headers: model.headers,
                maximumOutput: request.maximumOutput,
                variables: entry.variables
            )
        }
        let read = try BulkReader.flow(flow, of: provider, entry)
        if read is any BulkFlow { try CloudReader.check(cloud, for: provider, entry) }
        return read
    }

    /// Returns the messages: as they are, or made of `system` and `prompt`.
    private static func messages(
        _ value: SettingsReader,
        _ keys: [String: SettingsReader]
    ) throws(SettingsError) -> JSONValue {
        if let messages = keys["messages"] {
            for key in ["prompt", "system"] {
                if let other = keys[key] { throw other.error("it cannot stand beside messages; put it among them") }
            }
            return messages.json
        }
        guard let prompt = keys["prompt"] else {
            throw value.error("it has no prompt; add prompt: \"… {{text}}\" or messages")
        }
        var messages: [JSONValue] = []
        if let system = keys["system"] {
            messages.append(["role": "system", "content": .string(try system.nonEmptyText("a string"))])
        }
        messages.append(["role": "user", "content": .string(try prompt.nonEmptyText("a string"))])
        return .array(messages)
    }
}

/// A flow that asks a model for embeddings.
struct EmbeddingKind: ModelKind {
    let key = "embedding"
    let timeout: Duration? = .seconds(60)

    private static let keys = [
        "provider", "base_url", "api_version", "api_key", "model", "input", "options", "headers",
    ]

    func read(_ entry: FlowEntry) throws(SettingsError) -> any Flow {
        let request = try RequestReader(entry, knowing: Self.keys)
        let model = try request.model()
        guard let input = request.keys["input"] else {
            throw entry.value.error("it has no input, such as \"{{text}}\"")
        }
        let provider = try request.provider()
        if case .mapping = input.node.value { throw input.expected("a string or a list of strings") }
        let flow = try request.placing { () throws(FlowConfigurationProblem) in
            try EmbeddingFlow(
                provider: provider,
                baseURL: model.baseURL,
                apiVersion: model.apiVersion,
                key: model.key,
                model: model.name,
                input: input.json,
                options: model.options,
                headers: model.headers,
                maximumOutput: request.maximumOutput,
                variables: entry.variables
            )
        }
        return try BulkReader.flow(flow, of: provider, entry)
    }
}

/// What the kinds that ask models have in common: their requests can be submitted in bulk.
protocol ModelKind: RequestKind {}

extension ModelKind {
    private static var types: [String] {
        [
            "credentials", "not-run", "request-failed", "request-too-large", "results-gone", "submission-failed",
            "submission-gone", "submission-too-small",
        ]
    }

    var options: [String] { ["max_output", BulkReader.key] }

    func canFail(with type: String) -> Bool {
        isStatus(type) || Self.types.contains(type)
    }
}

/// What the kinds that call services have in common.
///
/// Each has a time-out by default: a server that never answers must not keep a slot indefinitely.
protocol RequestKind: FlowKind {}

extension RequestKind {
    var options: [String] { ["max_output"] }
    var hasSecrets: Bool { true }
    /// A server's status is an error type.
    func canFail(with type: String) -> Bool { isStatus(type) }

    func isStatus(_ type: String) -> Bool { type.wholeMatch(of: /http-[1-5][0-9][0-9]/) != nil }
}

/// Reads the keys that flows that call services share.
private struct RequestReader {
    let keys: [String: SettingsReader]
    let maximumOutput: Int
    private let value: SettingsReader

    init(_ entry: FlowEntry, knowing known: [String]) throws(SettingsError) {
        maximumOutput = try entry.maximumOutput()
        value = entry.value
        keys = try entry.value.members(knowing: known)
    }

    /// What is asked of a model.
    struct Model {
        var baseURL: String?
        var apiVersion: String?
        var key: String?
        var name: String
        var options: JSONValue
        var headers: [(name: String, value: String)]
    }

    func model() throws(SettingsError) -> Model {
        guard let model = keys["model"] else { throw value.error("it has no model") }
        if let options = keys["options"], case .mapping = options.node.value {
        } else if let options = keys["options"] {
            throw options.expected("a map, such as { temperature: 0 }")
        }
        return Model(
            baseURL: try keys["base_url"]?.nonEmptyText("a URL"),
            apiVersion: try keys["api_version"]?.nonEmptyText("a version, such as 2025-04-01-preview"),
            key: try keys["api_key"]?.nonEmptyText("a key, such as ${API_KEY}"),
            name: try model.nonEmptyText("the name of a model"),
            options: keys["options"]?.json ?? [:],
            headers: try headers()
        )
    }

    func provider() throws(SettingsError) -> ChatProvider {
        guard let member = keys["provider"] else { return .openai }
        let rule = "one of \(ChatProvider.allCases.map(\.rawValue).joined(separator: ", "))"
        guard let provider = ChatProvider(rawValue: try member.text(rule)) else { throw member.expected(rule) }
        return provider
    }

    func headers() throws(SettingsError) -> [(name: String, value: String)] {
        try keys["headers"]?.stringMap("a map of headers").map { ($0.key, $0.value) } ?? []
    }

    /// Makes a flow; reports a problem at the key that it is about.
    func placing<Made>(_ make: () throws(FlowConfigurationProblem) -> Made) throws(SettingsError) -> Made {
        do throws(FlowConfigurationProblem) {
            return try make()
        } catch {
            guard case .key(let path) = error.place, let first = path.split(separator: ".").first else {
                throw value.error(error.message)
            }
            let name = String(first.prefix { $0 != "[" })
            guard let place = keys[name] else { throw value.error("\(path): \(error.message)") }
            throw SettingsReader(node: place.node, keyPath: "\(value.keyPath).\(path)").error(error.message)
        }
    }
}
