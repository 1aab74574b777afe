import SheafCore

/// Numbers and times as people read them.
enum Wording {
    /// A count with its noun: `1 task`, `2 tasks`.
    static func count(_ count: Int, _ noun: String) -> String {
        "\(count) \(noun)\(count == 1 ? "" : "s")"
    }

    /// A share as a whole percentage that says 100 only when all are done.
    static func percent(_ part: Int, of total: Int) -> String {
        guard total > 0 else { return "100%" }
        return "\(Int(Double(part) / Double(total) * 100))%"
    }

    /// A rate: `0.4/s`, `12/s`.
    static func rate(_ perSecond: Double) -> String {
        perSecond < 10 ? "\((perSecond * 10).rounded() / 10)/s" : "\(Int(perSecond.rounded()))/s"
    }

    /// A duration by its two largest units: `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`.
    static func duration(_ duration: Duration) -> String {
        let seconds = max(0, duration / .seconds(1))
        if seconds < 9.95 { return "\((seconds * 10).rounded() / 10) s" }
        let whole = Int(seconds.rounded())
        switch whole {
        case ..<60: return "\(whole) s"
        case ..<3600: return "\(whole / 60) min \(whole % 60) s"
        case ..<86400: return "\(whole / 3600) h \(whole / 60 % 60) min"
        default: return "\(whole / 86400) d \(whole / 3600 % 24) h"
        }
    }

    /// How long ago a moment was.
    static func ago(_ moment: Timestamp, now: Timestamp) -> String {
        "\(duration(now - moment)) ago"
    }

    /// The counts of a batch in words: what is zero is left out.
    static func counts(_ counts: BatchCounts) -> String {
        let parts = [
            (counts.succeeded, "succeeded"), (counts.failed, "failed"), (counts.running, "running"),
            (counts.pending, "pending"), (counts.cancelled, "cancelled"),
        ]
        let words = parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        return words.isEmpty ? "no tasks" : words.joined(separator: ", ")
    }

    /// How many tasks wait for which limit, and for how long it is paused.
    static func limit(_ wait: RateLimitWait, now: Timestamp) -> String {
        let text = "\(count(wait.tasks, "task")) for \(wait.key)"
        guard let until = wait.until, until > now else { return text }
        return text + ", which is paused for another \(duration(until - now))"
    }

    /// A status and the counts behind it, as the last word on a batch.
    static func conclusion(_ summary: BatchSummary) -> String {
        var text = "batch \(summary.record.id) \(summary.status.rawValue): \(counts(summary.counts))"
        if let reason = summary.record.stopped?.reason, summary.status == .failed { text += " (\(reason))" }
        return text
    }
}
