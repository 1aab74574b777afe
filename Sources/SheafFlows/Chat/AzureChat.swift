import SheafCore

/// Where a resource of Azure OpenAI offers the API of OpenAI.
///
/// Without a version the API is below `/openai/v1`, and the deployment is named as the model. With a version such as
/// `2025-04-01-preview`, it is below `/openai`, and live requests have the deployment in their path. See
/// <https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle>.
enum AzureChat {
    /// Returns the URL of the API of a resource, whose own URL may have been written with or without the API's path.
    static func base(_ url: String, version: String?) -> String {
        var resource = url[...]
        for suffix in ["/", "/v1", "/openai"] where resource.hasSuffix(suffix) { resource.removeLast(suffix.count) }
        return "\(resource)/openai\(version == nil ? "/v1" : "")"
    }

    /// Returns what follows the path of each request.
    static func query(version: String?) throws(FlowConfigurationProblem) -> String? {
        guard let version else { return nil }
        guard version.wholeMatch(of: /[A-Za-z0-9.\-]+/) != nil else {
            throw FlowConfigurationProblem(.key("api_version"), "expected a version such as 2025-04-01-preview")
        }
        return "api-version=\(version)"
    }

    /// Returns the path of live requests; `{model}` stands for the deployment.
    static func path(_ path: String, version: String?) -> String {
        version == nil ? path : "/deployments/{model}\(path)"
    }

    /// Returns a path with the name of the deployment in the place of `{model}`.
    static func filled(_ path: String, model: String) throws(TemplateError) -> String {
        guard path.contains("{model}") else { return path }
        // The name is a part of the URL, and may be made of a record.
        guard model.wholeMatch(of: /[A-Za-z0-9_][A-Za-z0-9._\-]*/) != nil else {
            throw TemplateError("model: '\(model)' is not the name of a deployment")
        }
        return path.replacing("{model}", with: model)
    }
}
