import SheafCore

@testable import SheafFlows
@testable import SheafSettings
@testable import SheafSources

extension Decoder {
    /// Checks the decoder that the first byte selects with the rest of the bytes.
    func checkConfiguration(_ bytes: [UInt8]) throws {
        var input = FuzzInput(bytes)
        switch input.byte() {
        case UInt8(ascii: "t"): try checkTemplate(&input)
        case UInt8(ascii: "s"): checkSettings(&input)
        case UInt8(ascii: "p"): try checkParameters(&input)
        case UInt8(ascii: "g"): _ = NamePattern(String(decoding: input.part(), as: UTF8.self)).matches(input.part())
        default: try checkWords(input.text)
        }
    }

    /// Checks a template and the record that it is rendered for.
    private func checkTemplate(_ input: inout FuzzInput) throws {
        let text = String(decoding: input.part(), as: UTF8.self)
        guard let template = try? ArgumentTemplate(text) else { return }
        let bytes = Array(input.rest)
        let kind: Record.Kind = (try? JSON.validate(bytes)) == nil ? .binary : .json
        let task = FlowTask(
            batch: "b",
            index: 0,
            record: Record(id: "r", kind: kind, bytes: bytes),
            parameters: ["a": [1, "two", ["three": false]], "b": "c"]
        )
        guard let rendered = try? template.render(task) else { return }
        try require(try template.render(task) == rendered, "rendering twice gives different strings")
        if !template.isTemplated { try require(rendered == text, "a string without tags is changed") }
    }

    /// Checks a settings file, and after a NUL the assignments of the command line.
    private func checkSettings(_ input: inout FuzzInput) {
        let yaml = String(decoding: input.part(), as: UTF8.self)
        guard var root = try? SettingsNode(yaml: yaml, path: "sheaf.yaml") else { return }
        while !input.rest.isEmpty { try? root.apply(assignment: String(decoding: input.part(), as: UTF8.self)) }
        let working = ConfigurationFolder("/somewhere")
        let environment = ["USER": "u", "SECRET": "p@ss:/word"]
        _ = try? Settings(root, file: nil, environment: environment, working: working)
    }

    /// Checks options in the form of the journal, and the merging of parameters and defaults.
    private func checkParameters(_ input: inout FuzzInput) throws {
        let defaults = (try? JSON.parse(input.part())) ?? [:]
        guard let parameters = try? JSON.parse(Array(input.rest)) else { return }
        if let made = try? ParameterVariants(defaults: defaults, parameters: parameters) {
            try require(
                !made.variants.isEmpty && made.variants.count <= ParameterVariants.maximum,
                "the number of variants is out of range"
            )
            for text in made.variants.compactMap(\.self) { _ = try JSON.parse(text) }
        }
        let options = BatchOptions(json: parameters)
        try require(BatchOptions(json: options.json) == options, "options are not decoded as they were encoded")
    }

    private func checkWords(_ text: String) throws {
        if let name = Name(text) { try require(name.text.utf8.count <= 64 && name.text == text, "a name is too long") }
        if let time = Timestamp(text) {
            try require(Timestamp(time.description) == time, "a timestamp is not parsed as it was written")
        }
        if let policy = ErrorPolicy(text) {
            try require(ErrorPolicy(policy.description) == policy, "a policy is not parsed as it was written")
            _ = policy.isExceeded(failures: 1, total: 3)
        }
        if let duration = DurationText.parse(text) { try require(duration >= .zero, "a duration is negative") }
        if let size = SizeText.parse(text) { try require(size >= 0, "a size is negative") }
        _ = SettingsScalar(plain: text).json.text
        _ = SourceFormat(ending: text)
        _ = Suggestion.text(for: text, among: ["concurrency", "flows"])
        try require(FieldName.decode(FieldName.encode(text)) == text, "a field name is not decoded as it was encoded")
    }
}
