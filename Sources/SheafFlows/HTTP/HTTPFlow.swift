package import SheafCore

/// Sends a request for each task.
///
/// - Method, URL, header values and body are templates, see ``ArgumentTemplate``. Values are encoded for their place:
///   percent-encoded in the URL (`{{{name}}}` writes one as it is), in one line in headers, JSON-escaped in a body that
///   is JSON. `${NAME}` is a variable of the worker's environment; messages never show its value.
/// - A status of 200 to 299 is a success, and the body is the output. 429, and 408, 425 and 5xx with a `Retry-After`,
///   are a ``FlowThrottle``. Other failures are `http-404` and the like (408, 425 and 5xx may be retried), `connection`
///   (may be retried), `template`, `redirects`, `private-address`, `output-too-large`, `output-not-json` and
///   `output-not-text`.
/// - A host that is part of the URL's template may have any address. A host that comes from a record or a redirect must
///   not have a private address, unless that is allowed.
package struct HTTPFlow: ExaminableFlow {
    /// How the body of an answer becomes an output.
    package enum Response: String, Sendable, CaseIterable {
        /// JSON if all of it is JSON, otherwise a string.
        case auto
        /// JSON; anything else is a failure.
        case json
        /// A string, whatever it looks like.
        case raw
    }

    /// The body of a request.
    package enum Body: Sendable {
        /// A string, which is a template.
        case text(String)
        /// JSON whose strings are templates.
        case json(JSONValue)
    }

    private static let maximumURL = 16 << 10

    private let method: ArgumentTemplate
    private let url: ArgumentTemplate
    private let headers: [(name: String, value: ArgumentTemplate)]
    private let body: RequestBody?
    private let response: Response
    private let secrets: Secrets
    private let caller: HTTPCaller
    private let isHostFixed: Bool
    /// Whether the URL is known to be invalid; it can be known without a task only if the URL uses nothing but
    /// variables.
    private let isURLBroken: Bool

    /// Defines a flow.
    ///
    /// - Parameters:
    ///   - url: The URL, a template.
    ///   - method: The method, a template; by default `GET` without a body and `POST` with one.
    ///   - headers: The headers; the values are templates.
    ///   - body: The body of the request.
    ///   - response: How the answer's body becomes the output.
    ///   - redirects: The most redirects that are followed.
    ///   - allowsPrivateAddresses: Whether a host from a record or a redirect may have a private address.
    ///   - maximumOutput: The most bytes of an answer's body.
    ///   - variables: The values of `${NAME}`; no message shows them.
    /// - Throws: ``FlowConfigurationProblem`` if the flow is invalid.
    package init(
        url: String,
        method: String? = nil,
        headers: [(name: String, value: String)] = [],
        body: Body? = nil,
        response: Response = .auto,
        redirects: Int = HTTPFlow.defaultRedirects,
        allowsPrivateAddresses: Bool = false,
        maximumOutput: Int = ExecFlow.defaultMaximumOutput,
        variables: [String: String] = [:]
    ) throws(FlowConfigurationProblem) {
        self.url = try RequestParts.template(url, .url, variables, "url")
        self.isHostFixed = try RequestParts.isHostFixed(url)
        let plain = Secrets.filled(url, with: variables)
        self.isURLBroken = !plain.contains("{{") && !plain.contains("${") && HTTPAddress(plain) == nil
        let method = method ?? (body == nil ? "GET" : "POST")
        self.method = try RequestParts.template(method, .none, variables, "method")
        if !self.method.isTemplated, !RequestParts.isToken(method) {
            throw FlowConfigurationProblem(
                .key("method"),
                "'\(method)' is not a method; expected one such as GET or POST"
            )
        }
        self.headers = try RequestParts.headers(headers, variables)
        self.body = try body.map { body throws(FlowConfigurationProblem) in
            try RequestBody(body, headers, variables)
        }
        self.response = response
        self.secrets = Secrets(variables)
        self.caller = HTTPCaller(
            HTTPCaller.Rules(
                maximumBody: maximumOutput,
                redirects: redirects,
                allowsPrivateAddresses: allowsPrivateAddresses
            )
        )
    }

    /// The most redirects that are followed by default.
    package static let defaultRedirects = 5

    /// Sends the request of one task.
    package func run(_ task: FlowTask) async throws -> FlowOutput {
        do {
            let call = try call(for: task)
            let answer = try await caller.send(call, isTrusted: isHostFixed)
            if let failure = HTTPFailure.of(answer, to: call, secrets: secrets) { throw failure }
            return try output(answer, of: call)
        } catch {
            throw secrets.masked(error)
        }
    }

    /// Checks the URL, as far as that is possible without a task.
    package func examine() -> FlowExamination {
        FlowExamination(
            use: "asks \(url.text.prefix { $0 != "?" })",
            problem: isURLBroken ? "its URL is invalid with the values of the environment variables" : nil
        )
    }

    /// Closes the connections.
    package func shutDown() async { await caller.shutDown() }

    private func call(for task: FlowTask) throws(FlowError) -> HTTPCall {
        do throws(TemplateError) {
            let scope = try TemplateScope(task)
            let text = try RequestParts.rendered(url, scope, "url")
            guard text.utf8.count <= Self.maximumURL, let address = HTTPAddress(text) else {
                throw TemplateError(
                    "url is '\(url.text)', which gives no valid URL; expected http:// or https:// and a host, at most 16 KiB"
                )
            }
            let method = try RequestParts.rendered(method, scope, "method")
            guard RequestParts.isToken(method) else {
                throw TemplateError("method is '\(self.method.text)', which gives no valid method")
            }
            var call = HTTPCall(method: method, url: address)
            for (name, value) in headers {
                call.headers.append((name, try RequestParts.rendered(value, scope, "headers.\(name)")))
            }
            if let body {
                call.body = try body.render(scope)
                if let type = body.contentType { call.headers.append(("Content-Type", type)) }
            }
            call.addUserAgent()
            for header in task.trace?.headers ?? []
            where call.headers.allSatisfy({ $0.name.lowercased() != header.name }) {
                call.headers.append(header)
            }
            return call
        } catch {
            throw FlowError(type: FlowError.templateType, message: error.description)
        }
    }

    private func output(_ answer: HTTPAnswer, of call: HTTPCall) throws -> FlowOutput {
        let isJSON = response != .raw && !answer.body.isEmpty && (try? JSON.validate(answer.body)) != nil
        if isJSON { return .json(answer.body) }
        if response == .json {
            throw FlowError(
                type: FlowError.outputNotJSONType,
                message: "\(call.description) answered \(answer.status) with a body that is not JSON"
            )
        }
        guard let text = String(validating: answer.body, as: UTF8.self) else {
            throw FlowError(
                type: FlowError.outputNotTextType,
                message: "\(call.description) answered \(answer.status) with a body that is not UTF-8"
            )
        }
        return .text(text)
    }
}
