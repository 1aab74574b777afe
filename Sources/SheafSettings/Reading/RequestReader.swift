import OrderedCollections
import SheafCore
import SheafFlows

/// Reads what belongs to flows that call services.
struct RequestReader {
    let maximumOutput: Int
    /// What `${NAME}` stands for.
    let variables: [String: String]

    private static let httpKeys = [
        "url", "method", "headers", "body", "response", "redirects", "private_addresses",
    ]
    private static let chatKeys = [
        "provider", "base_url", "api_key", "model", "system", "prompt", "messages", "options", "headers",
    ]
    private static let embeddingKeys = ["base_url", "api_key", "model", "input", "options", "headers"]

    func http(_ member: SettingsReader) throws(SettingsError) -> HTTPFlow {
        let keys = try member.members(knowing: Self.httpKeys)
        guard let url = keys["url"] else { throw member.error("it has no url") }
        let address = try url.nonEmptyText("a URL")
        let method = try keys["method"]?.nonEmptyText("a method such as GET or POST")
        let headers = try headers(keys)
        let response = try response(keys["response"])
        let redirects = try keys["redirects"]?.int(atLeast: 0) ?? HTTPFlow.defaultRedirects
        let allowsPrivateAddresses = try keys["private_addresses"]?.bool() ?? false
        return try placing(in: member, keys) { () throws(FlowConfigurationProblem) in
            try HTTPFlow(
                url: address,
                method: method,
                headers: headers,
                body: keys["body"].map(body),
                response: response,
                redirects: redirects,
                allowsPrivateAddresses: allowsPrivateAddresses,
                maximumOutput: maximumOutput,
                variables: variables
            )
        }
    }

    func chat(_ member: SettingsReader) throws(SettingsError) -> ChatFlow {
        let keys = try member.members(knowing: Self.chatKeys)
        let provider = try provider(keys["provider"])
        let common = try common(member, keys)
        let messages = try messages(member, keys)
        return try placing(in: member, keys) { () throws(FlowConfigurationProblem) in
            try ChatFlow(
                provider: provider,
                baseURL: common.baseURL,
                key: common.key,
                model: common.model,
                messages: messages,
                options: common.options,
                headers: common.headers,
                maximumOutput: maximumOutput,
                variables: variables
            )
        }
    }

    func embedding(_ member: SettingsReader) throws(SettingsError) -> EmbeddingFlow {
        let keys = try member.members(knowing: Self.embeddingKeys)
        let common = try common(member, keys)
        guard let input = keys["input"] else { throw member.error("it has no input, such as \"{{text}}\"") }
        if case .mapping = input.node.value { throw input.expected("a text or a list of texts") }
        return try placing(in: member, keys) { () throws(FlowConfigurationProblem) in
            try EmbeddingFlow(
                baseURL: common.baseURL,
                key: common.key,
                model: common.model,
                input: input.node.json,
                options: common.options,
                headers: common.headers,
                maximumOutput: maximumOutput,
                variables: variables
            )
        }
    }

    private typealias Common = (
        baseURL: String?, key: String?, model: String, options: JSONValue, headers: [(name: String, value: String)]
    )

    private func common(_ member: SettingsReader, _ keys: [String: SettingsReader]) throws(SettingsError) -> Common {
        guard let model = keys["model"] else { throw member.error("it names no model") }
        if let options = keys["options"], case .mapping = options.node.value {
        } else if let options = keys["options"] {
            throw options.expected("a map, such as { temperature: 0 }")
        }
        return (
            try keys["base_url"]?.nonEmptyText("a URL"),
            try keys["api_key"]?.nonEmptyText("a key, such as ${API_KEY}"),
            try model.nonEmptyText("the name of a model"),
            keys["options"]?.node.json ?? [:],
            try headers(keys)
        )
    }

    /// The messages: as they are, or made of `system` and `prompt`.
    private func messages(
        _ member: SettingsReader,
        _ keys: [String: SettingsReader]
    ) throws(SettingsError) -> JSONValue {
        if let messages = keys["messages"] {
            for key in ["prompt", "system"] {
                if let other = keys[key] { throw other.error("it goes without messages; put it among them") }
            }
            return messages.node.json
        }
        guard let prompt = keys["prompt"] else {
            throw member.error("it says nothing to the model; give it prompt: \"… {{text}}\" or messages")
        }
        var messages: [JSONValue] = []
        if let system = keys["system"] {
            messages.append(["role": "system", "content": .string(try system.nonEmptyText("a text"))])
        }
        messages.append(["role": "user", "content": .string(try prompt.nonEmptyText("a text"))])
        return .array(messages)
    }

    private func body(_ member: SettingsReader) -> HTTPFlow.Body {
        if case .scalar(let scalar) = member.node.value { .text(scalar.text) } else { .json(member.node.json) }
    }

    private func headers(_ keys: [String: SettingsReader]) throws(SettingsError) -> [(name: String, value: String)] {
        try keys["headers"]?.textMap("a map of headers").map { ($0.key, $0.value) } ?? []
    }

    private func response(_ member: SettingsReader?) throws(SettingsError) -> HTTPFlow.Response {
        guard let member else { return .auto }
        let names = HTTPFlow.Response.allCases.map(\.rawValue).joined(separator: ", ")
        guard let response = HTTPFlow.Response(rawValue: try member.text("one of \(names)")) else {
            throw member.expected("one of \(names)")
        }
        return response
    }

    private func provider(_ member: SettingsReader?) throws(SettingsError) -> ChatProvider {
        guard let member else { return .openai }
        let names = ChatProvider.allCases.map(\.rawValue).joined(separator: " or ")
        guard let provider = ChatProvider(rawValue: try member.text(names)) else { throw member.expected(names) }
        return provider
    }

    /// Makes a flow; what is wrong with it is said at its key.
    private func placing<Made>(
        in member: SettingsReader,
        _ keys: [String: SettingsReader],
        _ make: () throws(FlowConfigurationProblem) -> Made
    ) throws(SettingsError) -> Made {
        do throws(FlowConfigurationProblem) {
            return try make()
        } catch {
            guard case .key(let path) = error.place, let first = path.split(separator: ".").first else {
                throw member.error(error.message)
            }
            let name = String(first.prefix { $0 != "[" })
            guard let place = keys[name] else { throw member.error("\(path): \(error.message)") }
            throw SettingsReader(node: place.node, keyPath: "\(member.keyPath).\(path)").error(error.message)
        }
    }
}
