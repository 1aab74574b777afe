import SheafCore

/// Sends requests to a service of models.
package struct ModelService: Sendable {
    /// The URL of the service, without a slash at its end.
    package let base: String
    /// The most bytes of an answer's body.
    package let maximumOutput: Int
    let secrets: Secrets
    let caller: HTTPCaller
    private let headers: [(name: String, value: ArgumentTemplate)]

    /// Prepares to ask a service.
    ///
    /// - Throws: ``FlowConfigurationProblem`` if the URL or a header is invalid.
    init(
        baseURL: String,
        headers: [(name: String, value: String)],
        maximumOutput: Int,
        variables: [String: String]
    ) throws(FlowConfigurationProblem) {
        guard HTTPAddress(baseURL) != nil, !baseURL.contains("?") else {
            throw FlowConfigurationProblem(
                .key("base_url"),
                "expected a URL such as https://host/v1, without user, password and query"
            )
        }
        self.base = baseURL.hasSuffix("/") ? String(baseURL.dropLast()) : baseURL
        self.maximumOutput = maximumOutput
        self.headers = try RequestParts.headers(headers, variables)
        self.secrets = Secrets(variables)
        self.caller = HTTPCaller(HTTPCaller.Rules(maximumBody: maximumOutput))
    }

    /// Sends a body and returns the body of the answer.
    ///
    /// - Throws: ``FlowError`` or ``FlowThrottle``, with messages that contain no secrets.
    func ask(_ path: String, _ body: JSONValue, _ scope: TemplateScope) async throws -> JSONValue {
        do {
            var call = try call("POST", path, scope)
            if !headers.contains(where: { $0.name.lowercased() == "content-type" }) {
                call.headers.append(("Content-Type", "application/json"))
            }
            var bytes: [UInt8] = []
            body.write(to: &bytes)
            call.body = bytes
            let answer = try await caller.send(call, isTrusted: true)
            try check(answer, to: call)
            guard let value = try? JSON.parse(answer.body) else {
                throw FlowError(
                    type: FlowError.outputNotJSONType,
                    message: "\(call.description) answered \(answer.status) with a body that is not JSON"
                )
            }
            return value
        } catch {
            throw secrets.masked(error)
        }
    }

    /// Makes a request to a path below the base URL, with the headers of the flow.
    func call(_ method: String, _ path: String, _ scope: TemplateScope) throws(FlowError) -> HTTPCall {
        guard let address = HTTPAddress(base + path) else {
            throw FlowError(type: FlowError.templateType, message: "'\(base)\(path)' is not a valid URL")
        }
        var call = HTTPCall(method: method, url: address)
        do throws(TemplateError) {
            for (name, value) in headers {
                call.headers.append((name, try RequestParts.rendered(value, scope, "headers.\(name)")))
            }
        } catch {
            throw FlowError(type: FlowError.templateType, message: error.description)
        }
        call.addUserAgent()
        return call
    }

    /// Closes the connections.
    package func shutDown() async { await caller.shutDown() }

    /// Throws the error for an answer that is no success.
    func check(_ answer: HTTPAnswer, to call: HTTPCall) throws {
        let error = (try? JSON.parse(answer.body))?["error"]
        let reason = error?["message"]?.stringValue ?? error?.stringValue
        guard let failure = HTTPFailure.of(answer, to: call, secrets: secrets, reason: reason) else { return }
        // Waiting does not help if the account's quota is used up.
        if answer.status == 429, error?["code"] == "insufficient_quota", let throttle = failure as? FlowThrottle {
            throw FlowError(type: "http-429", message: throttle.message)
        }
        throw failure
    }
}

/// Parses and renders the templates in a request to a model.
enum ModelTemplates {
    /// Parses the strings of a value; `${NAME}` is not replaced, since a prompt may contain code.
    static func json(
        _ value: JSONValue,
        _ key: String
    ) throws(FlowConfigurationProblem) -> JSONTemplate {
        do {
            return try JSONTemplate(value)
        } catch {
            throw FlowConfigurationProblem(.key(key), "\(error)")
        }
    }

    /// Renders a template, and names the key if that fails.
    static func rendered(
        _ template: JSONTemplate,
        _ scope: TemplateScope,
        _ key: String
    ) throws(TemplateError) -> JSONValue {
        do {
            return try template.render(scope)
        } catch {
            throw TemplateError("\(key): \(error)")
        }
    }
}
