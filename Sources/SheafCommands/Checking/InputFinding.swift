import Glibc
import SheafCore
import SheafSettings
import SheafSources

/// What a look at the whole input of a flow found.
struct InputFinding: Sendable {
    /// The flow.
    let flow: Name
    /// How many records there are, bad ones included.
    var records = 0
    /// How many of them can not be read.
    var invalid = 0
    /// What is wrong, and where.
    var problems: [String] = []
    /// What that means for the exit code.
    var status = ExitReason.success

    init(flow: Name) { self.flow = flow }

    private static let problemLimit = 20

    /// Reads everything once.
    static func check(_ flow: FlowSettings, input: InputOptions) async throws -> InputFinding {
        var finding = InputFinding(flow: flow.name)
        do {
            let configuration = try flow.source(
                input,
                seed: input.seed ?? 0,
                readsStandardInput: isatty(STDIN_FILENO) == 0
            )
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

    /// Says what was found.
    func tell(on console: Console) {
        if status == .success {
            console.say("\(flow): \(Wording.count(records, "record")), all of them good")
            return
        }
        let heading = invalid > 0 ? "\(invalid) of \(Wording.count(records, "record")) can not be read:" : ""
        console.complain("sheaf: flow \(flow): \(heading)" + problems.map { (invalid > 0 ? "\n  " : "") + $0 }.joined())
        if invalid > problems.count { console.complain("  … and \(invalid - problems.count) more") }
    }

    /// The finding as a JSON object.
    var json: JSONValue {
        [
            "flow": .string(flow.text), "records": .integer(records), "invalid": .integer(invalid),
            "problems": .array(problems.map(JSONValue.string)), "ok": .bool(status == .success),
        ]
    }
}
