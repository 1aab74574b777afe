import Foundation
import Sheaf
import SheafCore
import SheafSettings

/// Formats submissions, whose ids and messages are untrusted.
enum SubmissionTable {
    /// The user who decides about a submission, for the log.
    static var author: String { "\(NSUserName())@\(ProcessInfo.processInfo.hostName)" }

    /// Returns a table, one submission per line.
    ///
    /// - Parameters:
    ///   - submissions: The submissions.
    ///   - costs: What the results of each have cost; nil for one whose flow the configuration does not have.
    ///   - now: The time.
    static func lines(_ submissions: [Submission], costs: [Cost?], now: Timestamp) -> [String] {
        var table = TextTable(columns: [
            .init(heading: "SUBMISSION"), .init(heading: "BATCH"), .init(heading: "STATE"),
            .init(heading: "REQUESTS", isNumeric: true), .init(heading: "RESULTS", isNumeric: true),
            .init(heading: "MISSING", isNumeric: true), .init(heading: "ANNOUNCED"), .init(heading: "COST"),
            .init(heading: "NOTE"),
        ])
        for (submission, cost) in zip(submissions, costs) {
            table.add([
                .init(TerminalText.line(submission.name, limit: 80)),
                .init(submission.batch.text),
                .init(submission.state.rawValue),
                .init(String(submission.requests)),
                .init(String(submission.results)),
                .init(String(submission.missing)),
                .init(Wording.ago(submission.announcedAt, now: now)),
                .init(short(cost, of: submission)),
                .init(TerminalText.line(note(submission), limit: 120)),
            ])
        }
        return table.lines
    }

    private static func short(_ cost: Cost?, of submission: Submission) -> String {
        switch cost {
        case _ where submission.usage.isEmpty: "-"
        case .amount: cost?.description ?? "-"
        case .unknown, nil: "unknown"
        }
    }

    /// Returns one submission in full.
    static func details(_ submission: Submission, cost: Cost?, now: Timestamp) -> [String] {
        var entries: [(label: String, text: String)] = [
            ("submission", submission.id ?? "the provider's id is not known"), ("key", submission.key),
            ("batch", submission.batch.text), ("flow", submission.flow.text), ("state", submission.state.rawValue),
            ("service", submission.address), ("file", submission.file ?? "-"),
            ("requests", String(submission.requests)),
            ("results", "\(submission.results), \(submission.missing) missing"),
            ("announced", "\(submission.announcedAt) (\(Wording.ago(submission.announcedAt, now: now)))"),
            ("changed", "\(submission.changedAt) (\(Wording.ago(submission.changedAt, now: now)))"),
            ("worker", submission.worker),
        ]
        if !submission.usage.isEmpty {
            entries.append(("usage", usage(submission)))
            if let cost { entries.append(("cost", cost.description)) }
        }
        if let user = submission.cancelledBy { entries.append(("cancelled", "by \(user)")) }
        switch submission.resolution {
        case .created(let id): entries.append(("decided", "it is \(id)"))
        case .notCreated: entries.append(("decided", "it was not created"))
        case nil: break
        }
        if !note(submission).isEmpty { entries.append(("note", note(submission))) }
        return BatchDetails.aligned(entries.map { ($0.label, TerminalText.line($0.text, limit: 2000)) })
    }

    private static func usage(_ submission: Submission) -> String {
        let amounts = submission.usage.sorted.map { "\($0.amount) \($0.name)" }
        return amounts.isEmpty ? "-" : TerminalText.line(amounts.joined(separator: ", "), limit: 200)
    }

    private static func note(_ submission: Submission) -> String {
        switch (submission.state, submission.resolution) {
        case (.unclear, nil):
            let advice = "'sheaf submissions resolve \(submission.key)' decides about it"
            if !submission.rejection.isEmpty { return "\(submission.rejection); \(advice)" }
            return submission.message.isEmpty ? advice : "\(advice): \(submission.message)"
        case (.unclear, _): return "decided; a worker has to follow the decision"
        case (.running, _) where submission.cancelledBy != nil: return "is to be cancelled"
        case (.abandoned, _): return "its batch has ended; look for it at the provider"
        default: return submission.message
        }
    }
}
