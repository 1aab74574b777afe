import SheafCore
import SheafFlows

/// Reads `retry_on`, `retry_delay` and `retry_max_delay` of a flow.
struct RetryReader {
    /// The longest wait; brokers and readers treat a longer one as invalid.
    private static let longestDelay = Duration.seconds(7 * 86400)
    /// The error types that another attempt may fix.
    private static let types = [
        "exit-code", "signal", "timeout", "output-too-large", "output-not-text", "output-not-json", "template",
        "not-found", "spawn", "process-ended", "protocol", "connection", "redirects", "private-address",
        "unexpected-answer", "not-interactive",
    ]
    /// The error types that `retry_on` does not decide, with the reason.
    private static let settled = [
        Outcome.Failure.workerLost:
            "a task whose worker died always runs again, until its queue's delivery limit",
        Outcome.Failure.invalidRecord: "another attempt would fail in the same way",
        "parameters": "another attempt would fail in the same way",
        FlowError.cancelledType: "the task was cancelled",
    ]
    private static let rule = "all, none, or a list of error types and exit codes, such as [timeout, 75]"

    private let members: [String: SettingsReader]
    private let kind: any FlowKind

    init(_ members: [String: SettingsReader], _ kind: any FlowKind) {
        self.members = members
        self.kind = kind
    }

    func read() throws(SettingsError) -> RetryRule {
        let (first, longest) = (members["retry_delay"], members["retry_max_delay"])
        let maximum = try longest?.duration() ?? RetryRule.defaultMaximumDelay
        if let longest, maximum > Self.longestDelay { throw longest.error("more than 7d, which is the longest wait") }
        let delay = try first?.duration() ?? min(RetryRule.defaultDelay, maximum)
        if let first, delay > maximum {
            throw first.error("longer than retry_max_delay, which is \(longest?.node.found ?? "5m by default")")
        }
        return RetryRule(on: try condition(), delay: delay, maximumDelay: maximum)
    }

    private func condition() throws(SettingsError) -> RetryRule.Condition {
        guard let member = members["retry_on"] else { return .asTheFlowSays }
        guard case .list = member.node.value else {
            switch try member.text(Self.rule) {
            case "all": return .all
            case "none": return .none
            default: return try listed([member])
            }
        }
        return try listed(try member.elements(Self.rule))
    }

    private func listed(_ items: [SettingsReader]) throws(SettingsError) -> RetryRule.Condition {
        var types: Set<String> = []
        var codes: Set<Int> = []
        for item in items {
            let text = try item.text("an error type or an exit code")
            if let reason = Self.settled[text] {
                throw item.error("'\(text)' does not depend on retry_on: \(reason); leave it out")
            }
            if Self.types.contains(text) || kind.canFail(with: text) {
                types.insert(text)
            } else if let code = JSONValue.number(text).intValue {
                guard (1...255).contains(code) else {
                    throw item.error("\(text) is not the exit code of a failure, which is from 1 to 255")
                }
                codes.insert(code)
            } else if text == "all" || text == "none" {
                throw item.error("'\(text)' cannot be part of a list; write retry_on: \(text)")
            } else {
                let suggestion = Suggestion.text(for: text, among: Self.types)
                let hint = suggestion.isEmpty ? "; known types are \(Self.types.joined(separator: ", "))" : suggestion
                throw item.error("'\(text)' is not an error type that another attempt may fix\(hint)")
            }
        }
        return types.isEmpty && codes.isEmpty ? .none : .listed(types: types, exitCodes: codes)
    }
}
