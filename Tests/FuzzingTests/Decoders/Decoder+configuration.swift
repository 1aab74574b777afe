import SheafCore

@testable import SheafFlows
@testable import SheafSettings
@testable import SheafSources

extension Decoder {
    /// The first byte says what the rest is.
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

    /// A template, and a record it is filled in for.
    private func checkTemplate(_ input: inout FuzzInput) throws {
        let text = String(decoding: input.part(), as: UTF8.self)
        guard let template = try? ArgumentTemplate(text), let batch = Name("b") else { return }
        let bytes = Array(input.rest)
        let kind: Record.Kind = (try? JSON.validate(bytes)) == nil ? .binary : .json
        let task = FlowTask(
            batch: batch,
            index: 0,
            record: Record(id: "r", kind: kind, bytes: bytes),
            parameters: ["a": [1, "two", ["three": false]], "b": "c"]
        )
        guard let rendered = try? template.render(task) else { return }
        try require(try template.render(task) == rendered, "filled in twice it is another text")
        if !template.isTemplated { try require(rendered == text, "a text without tags came out as another") }
    }

    /// A file, and behind a NUL what the command line lays over it.
    private func checkSettings(_ input: inout FuzzInput) {
        let yaml = String(decoding: input.part(), as: UTF8.self)
        guard var root = try? SettingsNode(yaml: yaml, path: "sheaf.yaml") else { return }
        while !input.rest.isEmpty { try? root.apply(assignment: String(decoding: input.part(), as: UTF8.self)) }
        let working = ConfigurationFolder("/somewhere")
        let environment = ["USER": "u", "SECRET": "p@ss:/word"]
        _ = try? Settings.read(root, file: nil, environment: environment, working: working)
    }

    /// Options as the journal has them, and parameters over defaults.
    private func checkParameters(_ input: inout FuzzInput) throws {
        let defaults = (try? JSON.parse(input.part())) ?? [:]
        guard let parameters = try? JSON.parse(Array(input.rest)) else { return }
        if let made = try? ParameterVariants(defaults: defaults, parameters: parameters) {
            try require(!made.variants.isEmpty && made.variants.count <= ParameterVariants.maximum, "too few or many")
            for text in made.variants.compactMap(\.self) { _ = try JSON.parse(text) }
        }
        let options = BatchOptions(json: parameters)
        try require(BatchOptions(json: options.json) == options, "options are read as others")
    }

    private func checkWords(_ text: String) throws {
        if let name = Name(text) { try require(name.text.utf8.count <= 64 && name.text == text, "a name is too long") }
        if let moment = Timestamp(text) {
            try require(Timestamp(moment.description) == moment, "a moment is read as another")
        }
        if let policy = ErrorPolicy(text) {
            try require(ErrorPolicy(policy.description) == policy, "a policy is read as another")
            _ = policy.isExceeded(failures: 1, total: 3)
        }
        if let duration = DurationText.parse(text) { try require(duration >= .zero, "a duration below zero") }
        if let size = SizeText.parse(text) { try require(size >= 0, "a size below zero") }
        _ = SettingsScalar(plain: text).json.text
        _ = SourceFormat(ending: text)
        _ = Suggestion.text(for: text, among: ["concurrency", "flows"])
        try require(FieldName.decode(FieldName.encode(text)) == text, "a field name is read as another")
    }
}
