import OrderedCollections
import SheafCore

/// Models of Google and Anthropic on Vertex AI.
///
/// See <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference> and
/// <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude>.
package enum VertexChat {
    /// The path of the requests to models of Google.
    static let path = "/{model}:generateContent"
    /// The version of Anthropic's Messages.
    private static let anthropicVersion = "vertex-2023-10-16"

    /// Returns the URL below which a project's models and jobs are.
    static func base(_ url: String?, _ options: CloudOptions) throws(FlowConfigurationProblem) -> String {
        let project = try required(options.project, "project", "the id of a project, such as my-project")
        let location = try required(options.location, "location", "a location, such as us-central1 or global")
        let own =
            switch location {
            case "global": "https://aiplatform.googleapis.com"
            case "us", "eu": "https://aiplatform.\(location).rep.googleapis.com"
            default: "https://\(location)-aiplatform.googleapis.com"
            }
        var host = try ModelCloud.url(url, or: own, "base_url")
        if host.hasSuffix("/v1") { host.removeLast("/v1".count) }
        return "\(host)/v1/projects/\(project)/locations/\(location)"
    }

    private static func required(
        _ value: String?,
        _ key: String,
        _ rule: String
    ) throws(FlowConfigurationProblem) -> String {
        guard let value else { throw FlowConfigurationProblem(.key(key), "it is missing; set \(rule)") }
        guard value.wholeMatch(of: /[a-z0-9](?:[a-z0-9.:\-]*[a-z0-9])?/) != nil else {
            throw FlowConfigurationProblem(.key(key), "expected \(rule)")
        }
        return value
    }

    /// Returns what authenticates requests.
    static func authenticator(
        key: String?,
        _ options: CloudOptions,
        _ variables: [String: String]
    ) throws(FlowConfigurationProblem) -> any RequestAuthenticator {
        if let key {
            if options.credentials != nil {
                throw FlowConfigurationProblem(.key("credentials"), "it cannot stand beside api_key; leave one out")
            }
            return BearerAuthenticator(token: try CredentialTemplate(key, "api_key", variables))
        }
        guard let path = options.credentials else {
            throw FlowConfigurationProblem(
                .key("credentials"),
                "it is missing; set the path of the JSON key of a service account, or api_key to a token"
            )
        }
        return GoogleAuthenticator(path: try CredentialTemplate(path, "credentials", variables))
    }

    /// Returns the name of a model of a publisher.
    ///
    /// - Throws: ``TemplateError`` if the name cannot be that of a model.
    package static func resource(_ model: String) throws(TemplateError) -> String {
        let publisher = model.hasPrefix("claude") ? "anthropic" : "google"
        let name = model.contains("/") ? model : "publishers/\(publisher)/models/\(model)"
        // The name is a part of the URL, and may be made of a record.
        guard name.wholeMatch(of: /publishers\/(google|anthropic)\/models\/[A-Za-z0-9][A-Za-z0-9._@\-]*/) != nil else {
            throw TemplateError("model: '\(model)' is not the name of a model of Google or Anthropic")
        }
        return name
    }

    /// Returns whether a model is one of Anthropic.
    static func isClaude(_ model: String) -> Bool {
        model.hasPrefix("claude") || model.hasPrefix("publishers/anthropic/")
    }

    static func request(
        model: String,
        messages: JSONValue,
        options: JSONValue
    ) throws(TemplateError) -> ModelRequest {
        let name = try resource(model)
        if isClaude(model) {
            let body = AnthropicChat.request(version: anthropicVersion, messages: messages, options: options)
            return ModelRequest(model: model, path: "/\(name):rawPredict", body: body)
        }
        let body = try GeminiChat.request(messages: messages, options: options)
        return ModelRequest(model: model, path: path.replacing("{model}", with: name), body: body)
    }

    static func answer(_ body: JSONValue) throws(FlowError) -> ChatAnswer {
        // Only Messages have their content at the top.
        body["content"] == nil ? try GeminiChat.answer(body) : try AnthropicChat.answer(body)
    }
}

extension AnthropicChat {
    /// Makes a request for a cloud, which is told the model elsewhere and the version in the body.
    static func request(version: String, messages: JSONValue, options: JSONValue) -> JSONValue {
        var body = request(model: "", messages: messages, options: options).objectValue ?? [:]
        body["model"] = nil
        body["anthropic_version"] = .string(version)
        return .object(body)
    }
}
