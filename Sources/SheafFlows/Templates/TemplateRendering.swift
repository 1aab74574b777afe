/// One filling in of a template: how values are written, and what it lacked.
final class TemplateRendering {
    /// How values are written at this place.
    let escape: TemplateEscape
    /// What `${NAME}` stands for.
    let variables: [String: String]
    /// The names that stood for nothing.
    var missing: [[String]] = []

    init(escape: TemplateEscape, variables: [String: String]) {
        self.escape = escape
        self.variables = variables
    }
}
