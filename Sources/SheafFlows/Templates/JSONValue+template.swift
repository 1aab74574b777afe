import SheafCore

extension JSONValue {
    /// The value in the type that makes the engine treat it as what it is.
    func wrapped(_ missing: MissingFields) -> Any {
        switch self {
        case .bool(let flag): flag
        case .array(let elements): TemplateList(elements: elements, missing: missing)
        default: TemplateValue(value: self, missing: missing)
        }
    }

    /// Goes down the rest of a path, by member names and by positions in lists.
    func wrapped(following rest: ArraySlice<String>, of path: [String], _ missing: MissingFields) -> Any {
        var value = self
        for part in rest {
            if let member = value[part] {
                value = member
            } else if let elements = value.arrayValue, let position = Int(part), elements.indices.contains(position) {
                value = elements[position]
            } else {
                return MissingField(path: path, missing: missing)
            }
        }
        return value.wrapped(missing)
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
