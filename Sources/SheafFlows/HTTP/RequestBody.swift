import SheafCore

/// The body of a request, as a template.
struct RequestBody: Sendable {
    private enum Template: Sendable {
        case text(ArgumentTemplate, isJSON: Bool)
        case json(JSONTemplate)
    }

    private let template: Template
    /// The type that goes with it, where the flow's headers have none.
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
                throw TemplateError("body is a template for JSON, and what it gives is not JSON")
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
