import Mustache
import SheafCore

/// A list as the template engine sees it.
struct TemplateList: MustacheSequence, MustacheParent, MustacheCustomRenderable {
    let elements: [JSONValue]
    let missing: MissingFields

    func makeIterator() -> some IteratorProtocol<Any> {
        elements.lazy.map { $0.wrapped(missing) }.makeIterator()
    }

    // Without this the engine would look for names among the properties of this type.
    func child(named: String) -> Any? { nil }

    var renderText: String { JSONValue.array(elements).text }
    var isNull: Bool { false }
}
