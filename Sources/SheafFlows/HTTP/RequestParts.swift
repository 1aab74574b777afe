import SheafCore

/// Parses and renders the parts of a request that flows define as templates.
enum RequestParts {
    /// Parses the template under a key.
    static func template(
        _ text: String,
        _ escape: TemplateEscape,
        _ variables: [String: String],
        _ key: String
    ) throws(FlowConfigurationProblem) -> ArgumentTemplate {
        do {
            return try ArgumentTemplate(text, escape: escape, variables: variables)
        } catch {
            throw FlowConfigurationProblem(.key(key), "\(error)")
        }
    }

    /// Parses headers.
    static func headers(
        _ headers: [(name: String, value: String)],
        _ variables: [String: String]
    ) throws(FlowConfigurationProblem) -> [(name: String, value: ArgumentTemplate)] {
        var templates: [(String, ArgumentTemplate)] = []
        for (name, value) in headers {
            let key = "headers.\(name)"
            guard isToken(name) else {
                throw FlowConfigurationProblem(.key(key), "that is not a valid name of a header")
            }
            if ["content-length", "transfer-encoding", "connection"].contains(name.lowercased()) {
                throw FlowConfigurationProblem(.key(key), "it is derived from the request and cannot be set")
            }
            if value.unicodeScalars.contains(where: TemplateEscape.isControl) {
                throw FlowConfigurationProblem(
                    .key(key),
                    "the value of a header cannot contain line breaks or control characters"
                )
            }
            templates.append((name, try template(value, .header, variables, key)))
        }
        return templates
    }

    /// Renders a template, and names its key if that fails.
    static func rendered(
        _ template: ArgumentTemplate,
        _ scope: TemplateScope,
        _ key: String
    ) throws(TemplateError) -> String {
        do {
            return try template.render(scope)
        } catch {
            throw TemplateError("\(key) is '\(template.text)', but \(error)")
        }
    }

    /// Returns whether the host in a URL's template is fixed.
    ///
    /// - Throws: ``FlowConfigurationProblem`` if the template cannot give a valid URL, whatever the values are.
    static func isHostFixed(_ url: String) throws(FlowConfigurationProblem) -> Bool {
        let marks = ["{{", "${"].compactMap { url.firstRange(of: $0)?.lowerBound }
        let start = url[..<(marks.min() ?? url.endIndex)]
        if marks.isEmpty {
            guard HTTPAddress(url) != nil else {
                throw FlowConfigurationProblem(
                    .key("url"),
                    "expected a URL such as https://host/path, without user and password"
                )
            }
            return true
        }
        guard let scheme = start.firstRange(of: "://") else { return false }
        guard ["http", "https"].contains(start[..<scheme.lowerBound].lowercased()) else {
            throw FlowConfigurationProblem(.key("url"), "expected a URL that begins with http:// or https://")
        }
        let host = start[scheme.upperBound...].prefix { !"/?#".contains($0) }
        return host.endIndex < start.endIndex && HTTPAddress("http://\(host)/") != nil
    }

    /// Returns whether a string is a token of HTTP, as methods and names of headers are.
    static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 128
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }
}

extension HTTPCall {
    /// Adds a `User-Agent`, unless the flow has set one.
    mutating func addUserAgent() {
        if !headers.contains(where: { $0.name.lowercased() == "user-agent" }) {
            headers.append(("User-Agent", "sheaf"))
        }
    }
}

/// The body of a request, as a template.
struct RequestBody: Sendable {
    private enum Template: Sendable {
        case text(ArgumentTemplate, isJSON: Bool)
        case json(JSONTemplate)
    }

    private let template: Template
    /// The content type; nil if the flow's headers set it.
    let contentType: String?

    init(
        _ body: HTTPFlow.Body,
        _ headers: [(name: String, value: String)],
        _ variables: [String: String]
    ) throws(FlowConfigurationProblem) {
        let given = headers.first { $0.name.lowercased() == "content-type" }?.value
        switch body {
        case .text(let text):
            let isJSON = given?.lowercased().contains("json") ?? false
            template = .text(
                try RequestParts.template(text, isJSON ? .json : .none, variables, "body"),
                isJSON: isJSON
            )
            contentType = given == nil ? "text/plain; charset=utf-8" : nil
        case .json(let value):
            do {
                template = .json(try JSONTemplate(value, variables: variables))
            } catch {
                throw FlowConfigurationProblem(.key("body"), "\(error)")
            }
            contentType = given == nil ? "application/json" : nil
        }
    }

    func render(_ scope: TemplateScope) throws(TemplateError) -> [UInt8] {
        switch template {
        case .text(let text, let isJSON):
            let bytes = Array(try RequestParts.rendered(text, scope, "body").utf8)
            if isJSON, (try? JSON.validate(bytes)) == nil {
                throw TemplateError("body is a template for JSON, but its result is not JSON")
            }
            return bytes
        case .json(let template):
            do {
                var bytes: [UInt8] = []
                try template.render(scope).write(to: &bytes)
                return bytes
            } catch {
                throw TemplateError("body: \(error)")
            }
        }
    }
}

/// Values that messages must not show.
struct Secrets: Sendable {
    private let values: [String]

    init(_ variables: [String: String]) { self.init(Array(variables.values)) }

    private init(_ values: [String]) {
        // The longest first, so that no part of one is left if it contains another.
        self.values = values.filter { !$0.isEmpty }.sorted { $0.utf8.count > $1.utf8.count }
    }

    /// Returns these values and more.
    func adding(_ more: [String]) -> Secrets { Secrets(values + more) }

    /// Returns the string with `${NAME}` replaced by the values of variables.
    static func filled(_ text: String, with variables: [String: String]) -> String {
        var text = text
        for (name, value) in variables { text = text.replacing("${\(name)}", with: value) }
        return text
    }

    /// Returns the string with secrets replaced by `***`.
    func masked(_ text: String) -> String {
        var text = text
        for value in values where text.contains(value) { text = text.replacing(value, with: "***") }
        return text
    }

    /// Returns the error with a message without secrets.
    func masked(_ error: any Error) -> any Error {
        switch error {
        case var error as FlowError:
            error.message = masked(error.message)
            return error
        case var throttle as FlowThrottle:
            throttle.message = masked(throttle.message)
            return throttle
        default: return error
        }
    }
}
