import SheafCore

/// Templates for values of a request to a model.
enum ModelTemplates {
    /// Parses the texts of a value; `${NAME}` stands for itself here, as in code that a prompt shows.
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

    /// Fills the texts in, and names the key where that fails.
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
