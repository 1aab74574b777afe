import SheafCore

extension JSONValue {
    /// The value in the type that makes the engine treat it as what it is.
    func wrapped(_ rendering: TemplateRendering, isRaw: Bool = false) -> Any {
        switch self {
        case .bool(let flag): flag
        case .array(let elements): TemplateList(elements: elements, rendering: rendering)
        default: TemplateValue(value: self, rendering: rendering, isRaw: isRaw)
        }
    }

    /// Goes down the rest of a path, by member names and by positions in lists.
    func wrapped(
        following rest: ArraySlice<String>,
        of path: [String],
        _ rendering: TemplateRendering,
        isRaw: Bool
    ) -> Any {
        var value = self
        for part in rest {
            guard let member = value.member(part) else {
                return MissingField(path: path, rendering: rendering)
            }
            value = member
        }
        return value.wrapped(rendering, isRaw: isRaw)
    }

    /// The member of that name, or the element at that position.
    func member(_ name: String) -> JSONValue? {
        if let member = self[name] { return member }
        guard let elements = arrayValue, let position = Int(name), elements.indices.contains(position) else {
            return nil
        }
        return elements[position]
    }

    /// The value as it is put into an argument: a text as it is, `null` as nothing, anything else as JSON.
    var renderedText: String {
        switch self {
        case .string(let text): text
        case .null: ""
        default: self.text
        }
    }
}
