import Mustache
import SheafCore

/// The outermost context of a template: a task.
struct TemplateRoot: MustacheParent, MustacheCustomRenderable {
    let scope: TemplateScope
    let missing: MissingFields

    func child(named name: String) -> Any? {
        let path = FieldName.decode(name).split(separator: ".").map(String.init)
        guard let first = path.first, let value = scope[first] else {
            return MissingField(path: path, missing: missing)
        }
        return value.wrapped(following: path.dropFirst(), of: path, missing)
    }

    var renderText: String { scope.record.renderedText }
    var isNull: Bool { false }
}
