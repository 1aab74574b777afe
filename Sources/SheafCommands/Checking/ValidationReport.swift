import SheafCore

/// What `validate` found.
struct ValidationReport: Sendable {
    /// The configuration file, if there is one.
    let configuration: String?
    /// The flows it defines.
    let flows: [Name]
    /// What may be meant otherwise in the configuration.
    let warnings: [String]
    /// What was found in inputs.
    var findings: [InputFinding] = []

    /// The report as a JSON object.
    var json: JSONValue {
        [
            "ok": .bool(findings.allSatisfy { $0.status == .success }),
            "configuration": .optional(configuration),
            "flows": .array(flows.map { .string($0.text) }),
            "warnings": .array(warnings.map(JSONValue.string)),
            "inputs": .array(findings.map(\.json)),
        ]
    }

    /// What is said when nothing is wrong.
    var praise: String {
        let file = configuration.map { "\($0) is good" } ?? "no configuration file was found"
        let names = flows.map(\.text).joined(separator: ", ")
        return "\(file); flows: \(names.isEmpty ? "none" : names)"
    }
}
