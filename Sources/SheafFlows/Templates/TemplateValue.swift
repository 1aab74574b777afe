import Mustache
import SheafCore

/// A value of a record or a parameter as the template engine sees it.
struct TemplateValue: MustacheParent, MustacheCustomRenderable {
    let value: JSONValue
    let missing: MissingFields

    /// The member of that path, or nil where even its first part is missing: then an outer section may have it.
    func child(named name: String) -> Any? {
        let path = FieldName.decode(name).split(separator: ".").map(String.init)
        guard let first = path.first, let member = value[first] else { return nil }
        return member.wrapped(following: path.dropFirst(), of: path, missing)
    }

    var renderText: String { value.renderedText }

    /// Whether a section over it is left out.
    var isNull: Bool { value == .null || value == .string("") }
}
