import Mustache
import SheafCore

/// The outermost context of a template: a task.
struct TemplateRoot: MustacheParent, MustacheCustomRenderable {
    let scope: TemplateScope
    let rendering: TemplateRendering

    func child(named name: String) -> Any? {
        if let variable = FieldName.variable(name) {
            guard let value = rendering.variables[variable] else {
                return MissingField(path: ["${\(variable)}"], rendering: rendering)
            }
            return TemplateValue(value: .string(value), rendering: rendering)
        }
        let (path, isRaw) = FieldName.path(name)
        guard let first = path.first, let value = scope[first] else {
            return MissingField(path: path, rendering: rendering)
        }
        return value.wrapped(following: path.dropFirst(), of: path, rendering, isRaw: isRaw)
    }

    var renderText: String { rendering.escape.write(scope.record) }
    var isNull: Bool { false }
}
