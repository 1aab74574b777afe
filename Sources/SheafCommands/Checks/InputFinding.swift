import SheafCore
import SheafFormats
import SheafSettings
import SheafSources

/// The result of checking the whole input of a flow.
struct InputFinding: Sendable {
    /// The flow.
    let flow: Name
    /// How many records there are, including unreadable ones.
    var records = 0
    /// How many of them cannot be read.
    var invalid = 0
    /// The problems with their places.
    var problems: [String] = []
    /// The exit code.
    var status = ExitReason.success

    init(flow: Name) { self.flow = flow }

    private static let problemLimit = 20

    /// Reads the whole input once.
    static func check(_ flow: FlowSettings, input: InputOptions) async throws -> InputFinding {
        var finding = InputFinding(flow: flow.name)
        do {
            let choices = try BatchChoices(input, for: flow)
            let configuration = try flow.source(choices, seed: input.seed ?? 0)
            let report = try await RecordSource.open(configuration).checkStrictly(keeping: problemLimit)
            finding.records = report.checked
            finding.invalid = report.invalid
            finding.problems = report.first.map(\.complaint)
            if !report.isValid { finding.status = .badData }
        } catch let error where !(error is CancellationError) {
            let diagnosis = Diagnosis(of: error)
            finding.status = diagnosis.status
            finding.problems = [diagnosis.message ?? String(describing: error)]
        }
        return finding
    }

    /// Prints the result.
    func report(on console: Console) {
        if status == .success {
            console.say("\(flow): \(Wording.count(records, "record")), all readable")
            return
        }
        let heading = invalid > 0 ? "\(invalid) of \(Wording.count(records, "record")) cannot be read:" : ""
        console.complain("sheaf: flow \(flow): \(heading)" + problems.map { (invalid > 0 ? "\n  " : "") + $0 }.joined())
        if invalid > problems.count { console.complain("  … and \(invalid - problems.count) more") }
    }

    /// The result as a JSON object.
    var json: JSONValue {
        [
            "flow": .string(flow.text), "records": .integer(records), "invalid": .integer(invalid),
            "problems": .array(problems.map(JSONValue.string)), "ok": .bool(status == .success),
        ]
    }
}

/// The result of `validate`.
struct ValidationReport: Sendable {
    /// The configuration file, if there is one.
    let configuration: String?
    /// The flows it defines.
    let flows: [Name]
    /// The warnings about the configuration.
    let warnings: [String]
    /// The results for the inputs.
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

    /// The message if there is no problem.
    var success: String {
        let file = configuration.map { "\($0) is valid" } ?? "no configuration file was found"
        let names = flows.map(\.text).joined(separator: ", ")
        return "\(file); flows: \(names.isEmpty ? "none" : names)"
    }
}
