import SheafCore
import SheafFlows

/// Reads `retry_on`, `retry_delay` and `retry_max_delay` of a flow.
struct RetryReader {
    /// The longest wait, because brokers and readers believe no longer one.
    private static let longestDelay = Duration.seconds(7 * 86400)
    /// The types of failures that another attempt may mend.
    private static let types = [
        "exit-code", "signal", "timeout", "output-too-large", "output-not-text", "output-not-json", "template",
        "not-found", "spawn", "process-ended", "protocol", "connection", "redirects", "private-address",
        "unexpected-answer", "not-interactive",
    ]
    /// Types that are decided elsewhere, with what happens to them.
    private static let settled = [
        Outcome.Failure.workerLost:
            "a task whose worker died is run again in any case, as often as its queue hands it out",
        Outcome.Failure.invalidRecord: "another attempt would find the same",
        "parameters": "another attempt would find the same",
        FlowError.cancelledType: "nobody wants the task any more",
    ]
    private static let rule = "all, none, or a list of error types and exit codes, such as [timeout, 75]"

    private let members: [String: SettingsReader]
    private let kind: FlowKind

    init(_ members: [String: SettingsReader], _ kind: FlowKind) {
        self.members = members
        self.kind = kind
    }

    func read() throws(SettingsError) -> RetryRule {
        let (first, longest) = (members["retry_delay"], members["retry_max_delay"])
        let maximum = try longest?.duration() ?? RetryRule.defaultMaximumDelay
        if let longest, maximum > Self.longestDelay { throw longest.error("more than 7d, and no task waits longer") }
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
                throw item.error("'\(text)' is not up to retry_on: \(reason); leave it out")
            }
            if Self.types.contains(text) || isOwnType(text) {
                types.insert(text)
            } else if let code = JSONValue.number(text).intValue {
                guard (1...255).contains(code) else {
                    throw item.error("\(text) is no exit code of a failure, which is from 1 to 255")
                }
                codes.insert(code)
            } else if text == "all" || text == "none" {
                throw item.error("'\(text)' stands alone: retry_on: \(text)")
            } else {
                let suggestion = Suggestion.text(for: text, among: Self.types)
                let hint = suggestion.isEmpty ? "; known are \(Self.types.joined(separator: ", "))" : suggestion
                throw item.error("'\(text)' is no type of error that another attempt may mend\(hint)")
            }
        }
        return types.isEmpty && codes.isEmpty ? .none : .listed(types: types, exitCodes: codes)
    }

    /// Whether failures of this kind of flow may be of a type that is not in the list: a server's status, or what a
    /// program says.
    private func isOwnType(_ text: String) -> Bool {
        switch kind {
        case .http, .chat, .embedding: text.wholeMatch(of: /http-[1-5][0-9][0-9]/) != nil
        case .process: text != "all" && text != "none" && text.wholeMatch(of: /[A-Za-z_][A-Za-z0-9_.-]{0,63}/) != nil
        case .exec, .echo: false
        }
    }
}
