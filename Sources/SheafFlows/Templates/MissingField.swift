import Mustache

/// What stands where a name stands for nothing: false to a section, and an error where it is put in.
struct MissingField: MustacheCustomRenderable {
    let path: [String]
    let rendering: TemplateRendering

    var renderText: String {
        rendering.missing.append(path)
        return ""
    }

    var isNull: Bool { true }
}
