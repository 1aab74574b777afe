import SheafCore

/// Sends requests to a service of models.
package struct ModelService: Sendable {
    /// The URL of the service, without a slash at its end.
    package private(set) var base: String
    /// The most bytes of an answer's body.
    package let maximumOutput: Int
    let caller: HTTPCaller
    private let ownSecrets: Secrets
    private var authenticator: (any RequestAuthenticator)?
    private var headers: [(name: String, value: ArgumentTemplate)]
    /// What follows the path of each request, such as `api-version=2026-01-01`; nil if there is nothing.
    private let query: String?

    /// Prepares to ask a service.
    ///
    /// - Throws: ``FlowConfigurationProblem`` if the URL or a header is invalid.
    init(
        baseURL: String,
        query: String? = nil,
        headers: [(name: String, value: String)],
        authenticator: (any RequestAuthenticator)? = nil,
        maximumOutput: Int,
        variables: [String: String]
    ) throws(FlowConfigurationProblem) {
        guard HTTPAddress(baseURL) != nil, !baseURL.contains("?") else {
            throw FlowConfigurationProblem(
                .key("base_url"),
                "expected a URL such as https://host/v1, without user, password and query"
            )
        }
        self.query = query
        self.base = baseURL.hasSuffix("/") ? String(baseURL.dropLast()) : baseURL
        self.maximumOutput = maximumOutput
        self.headers = try RequestParts.headers(headers, variables)
        self.authenticator = authenticator
        self.ownSecrets = Secrets(variables)
        self.caller = HTTPCaller(HTTPCaller.Rules(maximumBody: maximumOutput))
    }

    /// The path of the base URL, such as `/v1`; empty if it has none.
    package var path: String { String(base.dropFirst(origin.count)) }

    /// The scheme, host and port of the base URL.
    private var origin: Substring {
        let start = base.firstRange(of: "://")?.upperBound ?? base.startIndex
        return base[..<(base[start...].firstIndex(of: "/") ?? base.endIndex)]
    }

    /// Returns the service with another path below which requests are sent; scheme, host and port stay the same.
    package func at(path: String) -> ModelService {
        var service = self
        service.base = origin + path
        return service
    }

    /// Returns another service of the same owner, with the same credentials and without the flow's own headers.
    ///
    /// - Parameters:
    ///   - url: The URL of the service, without a slash at its end.
    ///   - name: The service's name in signatures of AWS.
    package func at(url: String, named name: String = "") -> ModelService {
        var service = self
        service.base = url
        service.headers = []
        service.authenticator = authenticator?.serving(name)
        return service
    }

    /// The values that no message shows.
    var secrets: Secrets { authenticator.map { ownSecrets.adding($0.secrets) } ?? ownSecrets }

    /// Returns why the credentials cannot work on this machine; nil if no problem was found.
    var problem: String? { authenticator?.problem().map { ownSecrets.masked($0) } }

    /// Sends a request with what authenticates it, and once more if it was refused for credentials that can be renewed.
    ///
    /// - Parameters:
    ///   - call: The request.
    ///   - body: The body, if it is streamed.
    ///   - send: Sends the request that it is given.
    func authenticating(
        _ call: HTTPCall,
        _ body: StreamedBody? = nil,
        _ send: (HTTPCall) async throws -> HTTPAnswer
    ) async throws -> HTTPAnswer {
        guard let authenticator else { return try await send(call) }
        let authenticated = try await authenticator.authenticated(call, body)
        let answer = try await send(authenticated)
        guard await authenticator.learn(from: answer, to: authenticated) else { return answer }
        return try await send(authenticator.authenticated(call, body))
    }

    /// Sends a request and returns the body of the answer.
    ///
    /// - Throws: ``FlowError`` or ``FlowThrottle``, with messages that contain no secrets.
    func ask(_ request: ModelRequest, _ scope: TemplateScope) async throws -> JSONValue {
        do {
            var call = try call("POST", request.path, scope)
            if !headers.contains(where: { $0.name.lowercased() == "content-type" }) {
                call.headers.append(("Content-Type", "application/json"))
            }
            var bytes: [UInt8] = []
            request.body.write(to: &bytes)
            call.body = bytes
            let answer = try await authenticating(call) { try await caller.send($0, isTrusted: true) }
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
        let query = query.map { (path.contains("?") ? "&" : "?") + $0 } ?? ""
        guard let address = HTTPAddress(base + path + query) else {
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

    /// Returns an error whose message contains no secrets.
    func masked(_ error: FlowError) -> FlowError {
        var error = error
        error.message = secrets.masked(error.message)
        return error
    }

    /// Closes the connections.
    package func shutDown() async {
        await authenticator?.shutDown()
        await caller.shutDown()
    }

    /// Throws the error for an answer that is no success.
    func check(_ answer: HTTPAnswer, to call: HTTPCall) throws {
        let body = (try? JSON.parse(answer.body)) ?? .null
        let failure = HTTPFailure.of(answer, to: call, secrets: secrets, reason: Self.reason(in: body))
        guard let failure else { return }
        // AWS, which names its errors in a header, has only 403 for keys.
        let isRefusedByAWS = answer.status == 403 && answer.header("x-amzn-errortype") != nil
        if answer.status == 401 || isRefusedByAWS || Self.hasWrongKey(body) {
            // Every task would fail like this one, so all wait until the key is right.
            var throttle = FlowThrottle(message: "\((failure as? FlowError)?.message ?? "\(failure)"); \(Self.advice)")
            throttle.needsPeople = true
            throw throttle
        }
        guard var throttle = failure as? FlowThrottle else { throw failure }
        // Waiting does not help if the account's quota is used up.
        if answer.status == 429, Self.hasNoQuota(body) { throw FlowError(type: "http-429", message: throttle.message) }
        if throttle.delay == nil { throttle.delay = Self.retryDelay(in: body) }
        throw throttle
    }

    /// Returns the reason in an answer that reports an error; nil if there is none in a known format.
    static func reason(in body: JSONValue) -> String? {
        let error = body["error"]
        // Mistral writes the message at the top, or the errors of the validation as a list.
        return error?["message"]?.stringValue ?? error?.stringValue
            ?? body["message"]?.stringValue ?? body["message"]?["detail"]?.arrayValue?.first.flatMap(detail)
            ?? body["detail"]?.stringValue ?? body["detail"]?.arrayValue?.first.flatMap(detail)
    }

    private static func detail(_ detail: JSONValue) -> String? {
        guard let message = detail["msg"]?.stringValue else { return nil }
        let place = (detail["loc"]?.arrayValue ?? []).map(\.renderedText).joined(separator: ".")
        return place.isEmpty ? message : "\(place): \(message)"
    }

    /// Returns whether the account may not make such requests at all.
    private static func hasNoQuota(_ body: JSONValue) -> Bool {
        if body["error"]?["code"] == "insufficient_quota" { return true }
        // Gemini reports a quota of 0 like one that is used up for a minute.
        return body["error"]?["message"]?.stringValue?.contains(/\blimit: 0(?![0-9.])/) == true
    }

    private static let advice = "correct the key of the flow and start the worker again"

    /// Returns whether a body with Google's errors, whose status is 400, reports that the key is wrong.
    private static func hasWrongKey(_ body: JSONValue) -> Bool {
        (body["error"]?["details"]?.arrayValue ?? []).contains { $0["reason"] == "API_KEY_INVALID" }
    }

    /// Returns the time that a service with Google's errors asks to wait, such as `"34.07s"`.
    private static func retryDelay(in body: JSONValue) -> Duration? {
        for detail in body["error"]?["details"]?.arrayValue ?? [] {
            if let text = detail["retryDelay"]?.stringValue, text.hasSuffix("s") {
                return RetryAfter.parse(String(text.dropLast()))
            }
        }
        return nil
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
