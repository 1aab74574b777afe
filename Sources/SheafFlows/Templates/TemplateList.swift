import Mustache
import SheafCore

/// A list as the template engine sees it.
struct TemplateList: MustacheSequence, MustacheParent, MustacheCustomRenderable {
    let elements: [JSONValue]
    let rendering: TemplateRendering

    func makeIterator() -> some IteratorProtocol<Any> {
        elements.lazy.map { $0.wrapped(rendering) }.makeIterator()
    }

    // Without this the engine would look for names among the properties of this type.
    func child(named: String) -> Any? { nil }

    var renderText: String { rendering.escape.write(.array(elements)) }
    var isNull: Bool { false }
}
