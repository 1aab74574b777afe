/// Which records of a batch count as identical: only the first of them runs, and the others get its outcome.
public enum Deduplication: Sendable, Hashable {
    /// Records with the same content; the fields that hold a record's id make no difference.
    case records
    /// JSON records with the same values of these fields; a record without any of them is compared by its content.
    case fields([String])

    /// The maximum number of fields.
    package static let maximumFields = 100

    /// The accepted forms, for error messages.
    package static let rule = "true, false, or a list of 1 to \(maximumFields) names of fields"

    /// Returns what is wrong with the fields, or nil if they are valid.
    package var problem: String? {
        guard case .fields(let names) = self else { return nil }
        let areNamed = names.allSatisfy { (1...256).contains($0.unicodeScalars.count) }
        if areNamed, (1...Self.maximumFields).contains(names.count) { return nil }
        return "the fields of 'dedupe' must be \(Self.rule)"
    }

    /// The choice as JSON: true, or the names of the fields.
    package var json: JSONValue {
        switch self {
        case .records: true
        case .fields(let names): .array(names.map(JSONValue.string))
        }
    }

    /// Decodes a choice; returns nil for false and for anything that is not one.
    package init?(json: JSONValue) {
        switch json {
        case .bool(true): self = .records
        case .array(let elements):
            self = .fields(elements.compactMap(\.stringValue))
            if elements.contains(where: { $0.stringValue == nil }) || problem != nil { return nil }
        default: return nil
        }
    }
}
