import SheafCore

/// Which fields make a record and which one its id.
struct FieldRule: Sendable {
    /// New names and the names in the input, sorted by the new name; empty takes records as they are.
    let columns: [(new: String, source: String)]
    /// The names in the input of the fields that may hold the id, best first.
    let idNames: [String]

    init(_ configuration: SourceConfiguration) {
        let columns = configuration.columns
        self.columns = columns.sorted { $0.key < $1.key }.map { (new: $0.key, source: $0.value) }
        let wanted = configuration.idField.map { [$0] } ?? ["id", "record_id"]
        var names: [String] = []
        for name in wanted.compactMap({ columns[$0] }) + wanted where !names.contains(name) { names.append(name) }
        self.idNames = names
    }

    /// The text of an id; nil where the value can not be one.
    static func id(_ value: JSONValue) -> String? {
        switch value {
        case .string(let text): text.isEmpty ? nil : text
        case .number(let digits): digits
        case .bool(let flag): flag ? "true" : "false"
        case .null, .array, .object: nil
        }
    }
}
