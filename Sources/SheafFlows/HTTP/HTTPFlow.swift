public import SheafCore

/// Sends a request for each task.
///
/// - Method, URL, header values and body are templates, see ``ArgumentTemplate``. Values are written for their place:
///   percent-encoded in the URL (`{{{name}}}` writes one as it is), in one line in headers, JSON-escaped in a body that is
///   JSON. `${NAME}` is a variable of the worker's environment, and never stands in a message.
/// - An answer of 200 to 299 is a success, and its body the output. 429, and 408, 425 and 5xx with a `Retry-After`, are a
///   ``FlowThrottle``. Other failures are `http-404` and the like (408, 425 and 5xx may be tried again), `connection` (may
///   be tried again), `template`, `redirects`, `private-address`, `output-too-large`, `output-not-json` and
///   `output-not-text`.
/// - A host that is part of the URL's template may have any address. One that comes from a record or a redirect must not
///   have a private one, unless that is allowed.
public struct HTTPFlow: ExaminableFlow {
    /// What becomes of a body.
    public enum Response: String, Sendable, CaseIterable {
        /// JSON where the whole of it is JSON, else a text.
        case auto
        /// JSON; anything else is a failure.
        case json
        /// A text, whatever it looks like.
        case raw
    }

    /// A body to send.
    public enum Body: Sendable {
        /// A text.
        case text(String)
        /// JSON of which the texts are templates.
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
    /// Whether the URL is none, which can be told without a task where only variables are put into it.
    private let isURLBroken: Bool

    /// Defines a flow.
    ///
    /// - Parameters:
    ///   - url: The URL, a template.
    ///   - method: The method, a template; `GET` without a body and `POST` with one where nothing is said.
    ///   - headers: The headers; the values are templates.
    ///   - body: What is sent.
    ///   - response: What becomes of the answer's body.
    ///   - redirects: How many redirects are followed.
    ///   - allowsPrivateAddresses: Whether a host from a record or a redirect may have a private address.
    ///   - maximumOutput: The most bytes of an answer's body.
    ///   - variables: What `${NAME}` stands for; no message shows the values.
    /// - Throws: ``FlowConfigurationProblem`` where the flow makes no sense.
    public init(
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
            throw FlowConfigurationProblem(.key("method"), "'\(method)' is no method; expected one such as GET or POST")
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

    /// How many redirects are followed where nothing is said.
    public static let defaultRedirects = 5

    /// Sends the request of one task.
    public func run(_ task: FlowTask) async throws -> FlowOutput {
        do {
            let call = try call(for: task)
            let answer = try await caller.send(call, isTrusted: isHostFixed)
            if let failure = HTTPFailure.of(answer, to: call, secrets: secrets) { throw failure }
            return try output(answer, of: call)
        } catch {
            throw secrets.masked(error)
        }
    }

    /// Looks whether the URL is one, where that can be told without a task.
    public func examine() -> FlowExamination {
        FlowExamination(
            use: "asks \(url.text.prefix { $0 != "?" })",
            problem: isURLBroken ? "with the variables of the environment in it, its URL is none" : nil
        )
    }

    /// Closes the connections.
    public func shutDown() async { await caller.shutDown() }

    private func call(for task: FlowTask) throws(FlowError) -> HTTPCall {
        do throws(TemplateError) {
            let scope = try TemplateScope(task)
            let text = try RequestParts.rendered(url, scope, "url")
            guard text.utf8.count <= Self.maximumURL, let address = HTTPAddress(text) else {
                throw TemplateError(
                    "url is '\(url.text)', which gives no URL: expected http:// or https:// and a host, at most 16 KiB"
                )
            }
            let method = try RequestParts.rendered(method, scope, "method")
            guard RequestParts.isToken(method) else {
                throw TemplateError("method is '\(self.method.text)', which gives no method")
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
            return call
        } catch {
            throw FlowError(type: "template", message: error.description)
        }
    }

    private func output(_ answer: HTTPAnswer, of call: HTTPCall) throws -> FlowOutput {
        let isJSON = response != .raw && !answer.body.isEmpty && (try? JSON.validate(answer.body)) != nil
        if isJSON { return .json(answer.body) }
        if response == .json {
            throw FlowError(
                type: "output-not-json",
                message: "\(call.description) answered \(answer.status) with a body that is not JSON"
            )
        }
        guard let text = String(validating: answer.body, as: UTF8.self) else {
            throw FlowError(
                type: "output-not-text",
                message: "\(call.description) answered \(answer.status) with a body that is not UTF-8"
            )
        }
        return .text(text)
    }
}
