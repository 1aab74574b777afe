import Mustache
import SheafCore

/// A value of a record or a parameter as the template engine sees it.
struct TemplateValue: MustacheParent, MustacheCustomRenderable {
    let value: JSONValue
    let rendering: TemplateRendering
    /// Whether it is written as it is whatever the place.
    var isRaw = false

    /// The member of that path, or nil where even its first part is missing: then an outer section may have it.
    func child(named name: String) -> Any? {
        if FieldName.variable(name) != nil { return nil }
        let (path, isRaw) = FieldName.path(name)
        guard let first = path.first, let member = value[first] else { return nil }
        return member.wrapped(following: path.dropFirst(), of: path, rendering, isRaw: isRaw)
    }

    var renderText: String { isRaw ? value.renderedText : rendering.escape.write(value) }

    /// Whether a section over it is left out.
    var isNull: Bool { value == .null || value == .string("") }
}
