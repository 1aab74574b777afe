package import SheafCore

extension Record {
    /// Decodes one JSON value by the rules for a line of JSONL.
    ///
    /// - Parameters:
    ///   - bytes: The value.
    ///   - idField: The field with the id, as in ``SourceConfiguration/idField``.
    /// - Returns: The record, whose id is empty if the value has none, or a message that says what is wrong.
    package static func decode(json bytes: [UInt8], idField: String? = nil) -> SourceItem.Content {
        let configuration = SourceConfiguration(inputs: [], idField: idField)
        let decoder = RecordDecoder(rule: FieldRule(configuration), limit: maximumSize)
        return decoder.content(bytes, of: RecordDecoder.Origin(format: .jsonl, place: "", line: 1))
    }
}
